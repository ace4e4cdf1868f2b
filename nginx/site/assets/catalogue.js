import { productArt } from "./art.js";
import { addToCart } from "./cart.js";
import { toast } from "./chrome.js";
import { findProducts, priceText } from "./products.js";
import { track } from "./track.js";
import { mark, variantOf } from "./variants.js";

const TYPING_PAUSE_MS = 700;
const INVITATIONS = { outdoors: "See them outdoors", lookbook: "Open the lookbook" };

const form = document.querySelector("#search");
const input = form.querySelector("input");
const grid = document.querySelector("#products");
const count = document.querySelector("#count");

let pause;
// What the address asks for is told by the tracker's plugin, what is typed here by this page.
let lastSearched = new URLSearchParams(location.search).get("q")?.trim() ?? "";

function show(query) {
  const found = findProducts(query);
  grid.replaceChildren(...found.map(card));
  count.textContent = query
    ? `${found.length} ${found.length === 1 ? "thing" : "things"} for “${query}”`
    : `${found.length} things, all of them repairable`;
  count.setAttribute("data-sluice-results", found.length);
  return found;
}

function card(product) {
  const item = document.createElement("li");
  item.className = "card";
  item.innerHTML = `
    <a href="/product.html?id=${product.id}"><span class="tile ${product.tone}"></span><h3>${product.name}</h3></a>
    <p>${product.line}</p>
    <div class="buy"><span class="price">${priceText(product.price)}</span><button type="button">Add<span class="aside"> to basket</span></button></div>`;
  item.querySelector(".tile").append(productArt(product.id));
  const button = item.querySelector("button");
  button.setAttribute("aria-label", `Add ${product.name} to basket`);
  button.addEventListener("click", () => {
    addToCart(product);
    toast(`${product.name} is in your basket.`);
  });
  return item;
}

/** A search is what somebody stopped at, not each letter on the way. */
function searched() {
  clearTimeout(pause);
  const query = input.value.trim();
  const found = show(query);
  if (!query || query === lastSearched) return;
  lastSearched = query;
  track("search", { query, results: found.length });
  if (!found.length) track("search_failed", { query });
}

input.addEventListener("input", () => {
  show(input.value.trim());
  clearTimeout(pause);
  pause = setTimeout(searched, TYPING_PAUSE_MS);
});
form.addEventListener("submit", (event) => {
  event.preventDefault();
  searched();
});
input.value = lastSearched;
show(lastSearched);

const invitation = document.querySelector("#invitation");
const variant = variantOf("front-invitation", Object.keys(INVITATIONS));
invitation.textContent = INVITATIONS[variant];
mark(invitation, "front-invitation", variant);
