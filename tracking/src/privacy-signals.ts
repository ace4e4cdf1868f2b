/** Does the browser ask, for its user, not to be tracked? Do Not Track or Global Privacy Control. */
export function asksNotToBeTracked(): boolean {
  // https://www.w3.org/TR/gpc/ : a boolean; DNT is "1".
  return (navigator as { globalPrivacyControl?: boolean }).globalPrivacyControl || +navigator.doNotTrack! > 0;
}
