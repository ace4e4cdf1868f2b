/** Who signed out is forgotten before the tracker runs: said by a cookie, as a page from a cache knows nobody. */
(function () {
  "use strict";

  if (!/(?:^|;\s*)sluice_signed_out=1/.test(document.cookie)) return;
  // Wherever the server put it: on the host's path or on the site's, which this page's begins with.
  location.pathname.replace(/[^/]*$/, "").split("/").slice(0, -1).forEach(function (_, depth, names) {
    var path = names.slice(0, depth + 1).join("/") + "/";
    document.cookie = "sluice_signed_out=; path=" + path + "; max-age=0; samesite=lax";
  });
  window.sluice =
    window.sluice ||
    function () {
      (window.sluice.q = window.sluice.q || []).push(arguments);
    };
  window.sluice("reset");
})();
