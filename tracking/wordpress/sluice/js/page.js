/** Tells the tracker what the server told this page; asks for consent where a plugin has the answer; the opt-out link. */
(function () {
  "use strict";

  window.sluice =
    window.sluice ||
    function () {
      (window.sluice.q = window.sluice.q || []).push(arguments);
    };

  function read(element) {
    try {
      return JSON.parse(element.textContent) || {};
    } catch (error) {
      return {};
    }
  }

  function perform(told) {
    (told.commands || []).forEach(function (command) {
      window.sluice.apply(null, command);
    });
  }

  // --- what the server told ---

  var block = document.getElementById("sluice-told");
  var told = block ? read(block) : {};
  if (told.consent === "wp_consent_api") {
    // That plugin puts its script behind this one.
    if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", tellConsent);
    else tellConsent();
    document.addEventListener("wp_listen_for_consent_change", tellConsent);
    document.addEventListener("wp_consent_type_defined", tellConsent);
  }
  perform(told);

  function tellConsent() {
    // The plugin "WP Consent API", which consent banners answer to; without one nothing is granted.
    if (typeof window.wp_has_consent !== "function") return;
    var answer = /(?:^|;\s*)[a-z_]*consent_statistics=(allow|deny)/.exec(document.cookie);
    var isAllowed = window.wp_has_consent("statistics") && (answer ? answer[1] === "allow" : isTyped());
    var isDenied = answer && answer[1] === "deny";
    window.sluice("consent", isAllowed ? "granted" : isDenied ? "denied" : "pending");
  }

  // It says yes to everything until a banner has told it whether visitors are asked ("optin") or may object.
  function isTyped() {
    return !!(window.wp_consent_type === undefined ? window.wp_fallback_consent_type : window.wp_consent_type);
  }

  // --- WooCommerce, where the cart is filled without a new page: it tells jQuery, and only jQuery ---

  if (window.jQuery) {
    window.jQuery(document.body).on("added_to_cart", function (event, fragments) {
      var html = fragments && fragments["script#sluice-cart"];
      if (!html) return;
      var found = new DOMParser().parseFromString(html, "text/html").getElementById("sluice-cart");
      if (found) perform(read(found));
    });
  }

  // --- the opt-out link ---

  function isOptedOut() {
    try {
      return localStorage.getItem("sluice_opt_out") !== null || /(?:^|;\s*)sluice_opt_out=/.test(document.cookie);
    } catch (error) {
      return /(?:^|;\s*)sluice_opt_out=/.test(document.cookie);
    }
  }

  var links = Array.prototype.slice.call(document.querySelectorAll("a.sluice-opt-out"));
  var isOut = isOptedOut();

  function show() {
    links.forEach(function (link) {
      link.textContent = link.getAttribute(isOut ? "data-in" : "data-out");
      link.setAttribute("aria-pressed", String(isOut));
      link.hidden = false;
    });
  }

  links.forEach(function (link) {
    link.addEventListener("click", function (event) {
      event.preventDefault();
      isOut = !isOut;
      window.sluice(isOut ? "optOut" : "optIn");
      show();
    });
  });
  show();
})();
