/** What the stations do when they are pressed; what that tells is the tracker's business. */
import { productArt } from "./art.js";
import "./captured.js";
import "./chrome.js";
import { showConsent } from "./consent-station.js";
import { CURRENCY, findProducts, productById } from "./products.js";
import { command, identify, track } from "./track.js";
import { keep, mark, variantOf } from "./variants.js";

const WIDGETS = ["tin-mug", "field-notebook", "beeswax-candle"];
const VARIANTS = { rust: "Leave on Friday. Bring the kettle.", moss: "Friday, four o'clock: the train to the lake." };
const EXPERIMENT = "captures-motto";

const at = (id) => document.getElementById(id);
const onPress = (id, run) => at(id).addEventListener("click", run);

let step = 0;
onPress("push", () => history.pushState({}, "", `/captures.html?view=${++step}`));
onPress("hash", () => (location.hash = `part-${++step}`));
onPress("same", () => history.pushState({}, "", location.href));

onPress("throw", () => {
  throw new TypeError("The kettle is empty (provoked on this page)");
});
onPress("reject", () => void Promise.reject(new Error("Nobody caught this (provoked on this page)")));
onPress("picture", () => {
  const picture = document.createElement("img");
  picture.alt = "";
  picture.hidden = true;
  picture.src = `/assets/no-such-picture-${++step}.png`;
  at("errors").append(picture);
});

at("way").addEventListener("submit", (event) => {
  event.preventDefault();
  event.target.reset();
});
at("way").addEventListener("click", ({ target }) => {
  if (!target.closest("[data-give-up]")) return;
  // Another view, in which this form is gone: it was given up.
  history.pushState({}, "", `/captures.html?view=${++step}`);
  const form = at("wish");
  const fresh = form.cloneNode(true);
  fresh.reset();
  form.replaceWith(fresh);
});

at("finding").addEventListener("submit", (event) => {
  event.preventDefault();
  const query = event.target.q.value.trim();
  if (!query) return;
  history.pushState({}, "", `/captures.html?q=${encodeURIComponent(query)}`);
  showFound();
});

function showFound() {
  const query = new URLSearchParams(location.search).get("q");
  const found = query ? findProducts(query) : [];
  const names = found.map(({ name }) => name).join(", ");
  at("found").textContent = query ? `${found.length} for “${query}”${names ? `: ${names}` : ". That one failed."}` : "";
  at("found").setAttribute("data-sluice-results", query ? String(found.length) : "");
}
showFound();

at("seen")
  .querySelector("ul")
  .append(
    ...WIDGETS.map((id, index) => {
      const { name, tone } = productById(id);
      const item = document.createElement("li");
      Object.assign(item.dataset, { widgetTracking: "", mappingId: "captures", postId: id, widgetIndex: index + 1, rawModel: "by-hand" });
      item.innerHTML = `<a href="/product.html?id=${id}" data-click-target="picture"><span class="tile ${tone}"></span>${name}</a>`;
      item.querySelector(".tile").append(productArt(id));
      return item;
    }),
  );

at("shop").addEventListener("click", ({ target: { value } }) => {
  if (!value) return;
  const { id, name, category, price } = productById("trail-kettle");
  const items = [{ item_id: id, item_name: name, item_category: category, price, quantity: 1 }];
  const order = value === "purchase" ? { transaction_id: `D-${Date.now().toString(36).toUpperCase()}` } : {};
  (window.dataLayer = window.dataLayer || []).push({ event: value, ecommerce: { ...order, currency: CURRENCY, value: price, items } });
});

function showVariant(variant) {
  const motto = at("variant");
  motto.textContent = VARIANTS[variant];
  motto.className = `variant ${variant}`;
  mark(motto, EXPERIMENT, variant);
}
showVariant(variantOf(EXPERIMENT, Object.keys(VARIANTS)));
onPress("other-variant", () => {
  keep(EXPERIMENT, at("variant").classList.contains("rust") ? "moss" : "rust");
  showVariant(variantOf(EXPERIMENT, Object.keys(VARIANTS)));
});

onPress("identify", () => identify("u_ada", { name: "Ada", plan: "member" }));
onPress("group", () => command("group", "g_alpine_club", { name: "Alpine Club", seats: 12 }));
onPress("alias", () => command("alias", "u_ada", "ada-1815"));
onPress("reset", () => command("reset"));

onPress("boil", () => track("kettle_boiled", { degrees: 94, altitudeM: 1_800 }));
onPress("reload", () => location.reload());

showConsent();
