/** Sluice: tells the tracker what Shopify's consent banner was told. Save as assets/sluice-consent.js. */
(function () {
  window.sluice =
    window.sluice ||
    function () {
      (window.sluice.q = window.sluice.q || []).push(arguments);
    };

  function tell() {
    var privacy = window.Shopify.customerPrivacy;
    if (privacy.analyticsProcessingAllowed()) return window.sluice("consent", "granted");
    // "" is: not asked yet.
    var answered = privacy.currentVisitorConsent && privacy.currentVisitorConsent().analytics === "no";
    window.sluice("consent", answered ? "denied" : "pending");
  }

  document.addEventListener("visitorConsentCollected", tell);
  if (!window.Shopify || !window.Shopify.loadFeatures) return;
  window.Shopify.loadFeatures([{ name: "consent-tracking-api", version: "0.1" }], function (error) {
    if (!error) tell();
  });
})();
