import { productArt } from "./art.js";
import { cartValue, emptyCart, itemCount, readCart, setQuantity } from "./cart.js";
import "./chrome.js";
import { CURRENCY, priceText, productById } from "./products.js";
import { track } from "./track.js";

const main = document.querySelector("#main");
const SHIPPING = 6;

showCart();

function showCart() {
  const lines = readCart();
  if (!lines.length) {
    main.innerHTML = `<div class="empty"><h1>Your basket is empty.</h1><p>Plenty of room, then.</p><a class="button" href="/">Back to the shop</a></div>`;
    return;
  }
  main.innerHTML = `
    <h1>Basket</h1>
    <div class="split"><ul class="lines"></ul>
      <aside class="sum"><dl><dt>Goods</dt><dd>${priceText(cartValue(lines))}</dd><dt>Shipping</dt><dd>${priceText(SHIPPING)}</dd><dt>Total</dt><dd>${priceText(cartValue(lines) + SHIPPING)}</dd></dl>
      <button type="button" id="checkout">Check out</button></aside></div>`;
  main.querySelector(".lines").append(...lines.map(lineItem));
  main.querySelector("#checkout").addEventListener("click", () => {
    track("checkout", order(lines));
    showCheckout(lines);
  });
}

function lineItem({ id, quantity }) {
  const product = productById(id);
  const item = document.createElement("li");
  item.innerHTML = `
    <a class="tile ${product.tone}" href="/product.html?id=${id}" aria-label="${product.name}"></a>
    <div><a href="/product.html?id=${id}">${product.name}</a><small>${priceText(product.price)} each</small></div>
    <div class="stepper"><button type="button" aria-label="One ${product.name} less">−</button><b>${quantity}</b><button type="button" aria-label="One ${product.name} more">+</button></div>
    <span class="price">${priceText(product.price * quantity)}</span>`;
  item.querySelector(".tile").append(productArt(id));
  const [less, more] = item.querySelectorAll("button");
  less.addEventListener("click", () => change(id, quantity - 1));
  more.addEventListener("click", () => change(id, quantity + 1));
  return item;
}

function change(id, quantity) {
  setQuantity(id, quantity);
  showCart();
}

function showCheckout(lines) {
  main.innerHTML = `
    <h1>Check out</h1>
    <form class="form narrow">
      <p class="note">A demo: nothing is charged, and what you type stays on this page. The tracker never reads fields.</p>
      <label>Name <input name="name" autocomplete="off" placeholder="Ada L."></label>
      <label>Card number <input name="card" autocomplete="off" inputmode="numeric" placeholder="Anything, or nothing"></label>
      <fieldset><legend>Shipping</legend>
        <label class="choice"><input type="radio" name="shipping" value="post" checked> By post, ${priceText(SHIPPING)}</label>
        <label class="choice"><input type="radio" name="shipping" value="pickup"> I'll pick it up, ${priceText(SHIPPING)} all the same</label>
      </fieldset>
      <button>Pay ${priceText(cartValue(lines) + SHIPPING)}</button>
    </form>`;
  scrollTo(0, 0);
  main.querySelector("form").addEventListener("submit", (event) => {
    event.preventDefault();
    const orderId = `L-${Date.now().toString(36).toUpperCase()}`;
    track("purchase", { orderId, ...order(lines), shipping: SHIPPING, shippingMethod: event.target.shipping.value });
    emptyCart();
    main.innerHTML = `<div class="empty"><h1>Thank you.</h1><p>Order <b>${orderId}</b> will not be on its way shortly. Its event is: open the panel and watch it arrive.</p><a class="button" href="/">Keep looking around</a></div>`;
    scrollTo(0, 0);
  });
}

/** What is being bought, as `checkout` and `purchase` tell it. */
function order(lines) {
  return {
    value: cartValue(lines),
    currency: CURRENCY,
    itemCount: itemCount(lines),
    items: lines.map(({ id, quantity }) => ({ productId: id, name: productById(id).name, price: productById(id).price, quantity })),
  };
}
