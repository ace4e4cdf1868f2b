import { CURRENCY, productById } from "./products.js";
import { track } from "./track.js";

const CART_KEY = "larch_cart";

/** `[{ id, quantity }]`, kept in this browser. */
export function readCart() {
  try {
    const lines = JSON.parse(localStorage.getItem(CART_KEY) || "[]");
    return lines.filter(({ id, quantity }) => productById(id) && quantity > 0);
  } catch {
    return [];
  }
}

export function addToCart(product, quantity = 1) {
  const lines = readCart();
  const line = lines.find(({ id }) => id === product.id);
  if (line) line.quantity += quantity;
  else lines.push({ id: product.id, quantity });
  writeCart(lines);
  track("add_to_cart", { ...describe(product), quantity, value: product.price * quantity });
}

export function setQuantity(id, quantity) {
  const product = productById(id);
  const before = readCart().find((line) => line.id === id)?.quantity || 0;
  writeCart(readCart().map((line) => (line.id === id ? { id, quantity } : line)).filter((line) => line.quantity > 0));
  if (quantity < before) track("remove_from_cart", { ...describe(product), quantity: before - quantity });
  else track("add_to_cart", { ...describe(product), quantity: quantity - before, value: product.price * (quantity - before) });
}

export function emptyCart() {
  writeCart([]);
}

export function cartValue(lines) {
  return Math.round(lines.reduce((sum, { id, quantity }) => sum + productById(id).price * quantity, 0) * 100) / 100;
}

export function itemCount(lines) {
  return lines.reduce((sum, { quantity }) => sum + quantity, 0);
}

/** A product as events tell it. */
export function describe({ id, name, category, price }) {
  return { productId: id, name, category, price, currency: CURRENCY };
}

function writeCart(lines) {
  localStorage.setItem(CART_KEY, JSON.stringify(lines));
  dispatchEvent(new Event("larch:cart"));
}
