// What the page itself does.
const at = (id, type, run) => document.getElementById(id).addEventListener(type, run);

at("slow", "click", ({ target }) => {
  const until = performance.now() + 150;
  while (performance.now() < until);
  addEventListener("pagehide", () => target.remove(), true);
});
at("alive", "click", () => setTimeout(() => document.body.setAttribute("data-open", ""), 300));
at("pressed", "pointerdown", () => document.body.append(document.createElement("i")));
at("next", "click", (event) => window.holdsLinks && event.preventDefault());

const root = document.getElementById("shadowed").attachShadow({ mode: "open" });
root.innerHTML = "<button id=inner>Inside</button><b></b>";
root.getElementById("inner").addEventListener("click", () => {
  root.querySelector("b").textContent = "clicked";
});

function failDeep() {
  throw new TypeError("no such user: joe@example.com");
}
function shift() {
  const box = document.createElement("div");
  box.style.height = "150px";
  document.body.prepend(box);
}
function view(path) {
  history.pushState(null, "", path);
  window.showView();
}
