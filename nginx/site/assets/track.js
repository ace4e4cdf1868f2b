/**
 * The tracker's command queue: works before the script has come, and if it never comes.
 * A site needs these lines once; everything else is `sluice("track", name, properties)`.
 */
window.sluice =
  window.sluice ||
  function () {
    (window.sluice.q = window.sluice.q || []).push(arguments);
  };

export function track(name, properties) {
  window.sluice("track", name, properties);
}

export function identify(userId, traits) {
  window.sluice("identify", userId, traits);
}

export function command(...command) {
  window.sluice(...command);
}
