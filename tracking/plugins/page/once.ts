import type { Host } from "../../src/plugin";

/**
 * True for each key once in a browser session, which is the tab's and outlives a reload; once on this
 * page for as long as nothing may be stored.
 */
export function createOnce(host: Host): (key: string) => boolean {
  const seen: { [place: string]: boolean } = {};
  return (key) => {
    const place = `sluice_${host.siteId}_${key}`;
    if (seen[place]) return false;
    let isNew = (seen[place] = true);
    // Now, or when it may be: then it is too late to look, but a reload will find it.
    host.whenGranted(() => {
      try {
        isNew = !sessionStorage[place];
        sessionStorage[place] = 1;
      } catch {
        // Refused in sandboxed frames, or full: this page remembers all the same.
      }
    });
    host.whenDenied(() => delete sessionStorage[place]);
    return isNew;
  };
}
