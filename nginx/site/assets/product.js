import { productArt } from "./art.js";
import { addToCart, describe } from "./cart.js";
import { toast } from "./chrome.js";
import { PRODUCTS, priceText, productById } from "./products.js";
import { track } from "./track.js";

const main = document.querySelector("#main");
const product = productById(new URLSearchParams(location.search).get("id"));

if (product) {
  document.title = `${product.name} · Larch`;
  showProduct();
  track("product_view", describe(product));
} else {
  main.innerHTML = `<div class="empty"><h1>That one is gone.</h1><p>Or it never was.</p><a class="button" href="/">Back to the shop</a></div>`;
}

function showProduct() {
  main.innerHTML = `
    <article class="product">
      <div class="tile ${product.tone}"></div>
      <div class="told">
        <p class="eyebrow">${product.category}</p>
        <h1>${product.name}</h1>
        <p class="lead">${product.line}</p>
        <p class="price">${priceText(product.price)}</p>
        <form>
          <label>Quantity <input type="number" name="quantity" value="1" min="1" max="9" inputmode="numeric"></label>
          <button>Add to basket</button>
        </form>
        <ul class="facts">${product.facts.map((fact) => `<li>${fact}</li>`).join("")}</ul>
      </div>
    </article>
    ${product.sound ? `<section class="more"><h2>Hear it</h2><audio controls preload="metadata" src="${product.sound}" title="${product.name}"></audio></section>` : ""}
    <section class="more"><h2>Goes well with</h2><ul></ul></section>`;
  main.querySelector(".tile").append(productArt(product.id));
  main.querySelector("form").addEventListener("submit", (event) => {
    event.preventDefault();
    const quantity = Math.min(Math.max(parseInt(event.target.quantity.value, 10) || 1, 1), 9);
    addToCart(product, quantity);
    toast(`${product.name} is in your basket.`);
  });
  const others = PRODUCTS.filter(({ id }) => id !== product.id);
  const from = PRODUCTS.indexOf(product);
  main.querySelector(".more ul").append(...[0, 2, 4].map((step, index) => teaser(others[(from + step) % others.length], index)));
}

function teaser(other, index) {
  const item = document.createElement("li");
  // A recommendation: whether it was seen, and which one was followed.
  Object.assign(item.dataset, { widgetTracking: "", mappingId: product.id, postId: other.id, widgetIndex: index + 1, rawModel: "goes-well-with" });
  item.innerHTML = `<a href="/product.html?id=${other.id}"><span class="tile ${other.tone}"></span><span>${other.name}</span><span class="price">${priceText(other.price)}</span></a>`;
  item.querySelector(".tile").append(productArt(other.id));
  return item;
}
