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

  // --- who signed out: said by a cookie, as a page from a cache knows nobody ---

  if (/(?:^|;\s*)sluice_signed_out=1/.test(document.cookie)) {
    // Wherever the server put it: on the site's path or on the host's.
    ["/", location.pathname.replace(/[^/]*$/, "")].forEach(function (path) {
      document.cookie = "sluice_signed_out=; path=" + path + "; max-age=0; samesite=lax";
    });
    window.sluice("reset");
  }

  // --- what the server told ---

  var block = document.getElementById("sluice-told");
  var told = block ? read(block) : {};
  if (told.consent === "wp_consent_api") {
    tellConsent();
    document.addEventListener("wp_listen_for_consent_change", tellConsent);
    document.addEventListener("wp_consent_type_defined", tellConsent);
  }
  perform(told);

  function tellConsent() {
    // The plugin "WP Consent API", which consent banners answer to; without one nothing is granted.
    if (typeof window.wp_has_consent !== "function") return;
    if (window.wp_has_consent("statistics")) window.sluice("consent", "granted");
    else window.sluice("consent", isAnswered() ? "denied" : "pending");
  }

  function isAnswered() {
    return /(?:^|;\s*)[a-z_]*consent_statistics=deny/.test(document.cookie);
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

  Array.prototype.forEach.call(document.querySelectorAll("a.sluice-opt-out"), function (link) {
    var isOut = isOptedOut();
    function show() {
      link.textContent = link.getAttribute(isOut ? "data-in" : "data-out");
      link.setAttribute("aria-pressed", String(isOut));
      link.hidden = false;
    }
    link.addEventListener("click", function (event) {
      event.preventDefault();
      isOut = !isOut;
      window.sluice(isOut ? "optOut" : "optIn");
      show();
    });
    show();
  });
})();
