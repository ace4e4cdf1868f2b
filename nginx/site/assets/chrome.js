/** What every page has around its content: header with sign-in and basket, footer, toast. */
import { itemCount, readCart } from "./cart.js";
import { command, identify, track } from "./track.js";

const PEOPLE = [
  { id: "u_ada", name: "Ada", plan: "member" },
  { id: "u_jun", name: "Jun", plan: "guest" },
  { id: "u_marta", name: "Marta", plan: "member" },
];
const SIGNED_IN_KEY = "larch_signed_in";

const PAGES = [
  ["/", "Shop"],
  ["/lookbook.html", "Lookbook"],
  ["/about.html", "About"],
  ["/captures.html", "Captures"],
  ["/replay.html", "Replay"],
];

class SiteHeader extends HTMLElement {
  connectedCallback() {
    const here = location.pathname.replace(/index\.html$/, "");
    this.innerHTML = `
      <a class="skip" href="#main">Skip to content</a>
      <div class="bar">
        <a class="logo" href="/" aria-label="Larch, home">
          <svg viewBox="0 0 32 32" aria-hidden="true"><path d="M16 2l7 10h-3l5 8h-6v9h-6v-9H7l5-8H9z"/></svg>Larch
        </a>
        <nav aria-label="Main">${PAGES.map(([href, label]) => `<a href="${href}"${href === here ? ' aria-current="page"' : ""}>${label}</a>`).join("")}</nav>
        <div class="tools">
          <button type="button" class="quiet" id="sign-in"></button>
          <a class="basket" href="/cart.html">Basket <b></b></a>
        </div>
      </div>
      <dialog id="sign-in-dialog" aria-labelledby="sign-in-title">
        <form method="dialog">
          <h2 id="sign-in-title">Who is shopping?</h2>
          <p>Three people who do not exist. Signing in sends <code>identify</code>; later events carry the user's id.</p>
          <div class="people">${PEOPLE.map(({ id, name, plan }) => `<button value="${id}">${name} <small>${plan}</small></button>`).join("")}</div>
          <button class="quiet" value="">Not now</button>
        </form>
      </dialog>`;
    this.dialog = this.querySelector("dialog");
    this.querySelector("#sign-in").addEventListener("click", () => this.signInOrOut());
    this.dialog.addEventListener("close", () => this.signIn(this.dialog.returnValue));
    addEventListener("larch:cart", () => this.showState());
    addEventListener("storage", () => this.showState());
    this.showState();
  }

  showState() {
    const person = signedIn();
    this.querySelector("#sign-in").textContent = person ? `${person.name} · sign out` : "Sign in";
    this.querySelector(".basket b").textContent = String(itemCount(readCart()));
  }

  signInOrOut() {
    if (!signedIn()) {
      this.dialog.returnValue = "";
      this.dialog.showModal();
      return;
    }
    track("sign_out");
    // A shared computer: who comes next is somebody else.
    command("reset");
    localStorage.removeItem(SIGNED_IN_KEY);
    this.showState();
    toast("Signed out. What follows belongs to a new visitor.");
  }

  signIn(id) {
    const person = PEOPLE.find((one) => one.id === id);
    if (!person) return;
    localStorage.setItem(SIGNED_IN_KEY, id);
    identify(person.id, { name: person.name, plan: person.plan });
    this.showState();
    toast(`Welcome, ${person.name}.`);
  }
}

class SiteFooter extends HTMLElement {
  connectedCallback() {
    this.innerHTML = `
      <div class="foot">
        <p><strong>Larch</strong> is not a shop. It is the demo of Sluice: a small site whose events travel into a bucket you own. Nothing is sold, shipped or charged.</p>
        <nav aria-label="Footer"><a href="/about.html#privacy">Privacy</a><a href="/downloads/care-guide.txt" download>Care guide</a><a href="https://www.openstreetmap.org/#map=13/46.5610/8.3590" rel="noopener">Find us</a></nav>
      </div>`;
  }
}

customElements.define("site-header", SiteHeader);
customElements.define("site-footer", SiteFooter);

function signedIn() {
  return PEOPLE.find(({ id }) => id === localStorage.getItem(SIGNED_IN_KEY));
}

let toastTimer;

export function toast(message) {
  let element = document.querySelector(".toast");
  if (!element) {
    element = document.createElement("p");
    element.className = "toast";
    element.setAttribute("role", "status");
    document.body.append(element);
  }
  element.textContent = message;
  element.classList.add("shown");
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => element.classList.remove("shown"), 2600);
}
