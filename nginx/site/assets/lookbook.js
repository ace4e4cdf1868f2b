/** One page, four addresses: what a single-page application does. */
import { productArt, sceneArt } from "./art.js";
import "./chrome.js";
import { priceText, productById } from "./products.js";

const CHAPTERS = [
  { id: "morning", title: "Morning", text: "The lake keeps still for about as long as a kettle needs. Nobody has asked you anything yet.", wears: ["trail-kettle", "tin-mug"] },
  { id: "noon", title: "Noon", text: "Bread, a board, a view. The path goes on, and you could too.", wears: ["day-rucksack", "bread-board"] },
  { id: "rain", title: "Rain", text: "It says so in the notebook: on the third day, rain. Good. Somebody had to finish that book.", wears: ["field-notebook", "wool-blanket"] },
  { id: "night", title: "Night", text: "One lantern is company. Two would be a party.", wears: ["storm-lantern", "beeswax-candle"] },
];

const stage = document.querySelector("#stage");
const steps = document.querySelector("#chapters");

function chapterOf(address) {
  const id = new URL(address).searchParams.get("chapter");
  return CHAPTERS.find((chapter) => chapter.id === id) || CHAPTERS[0];
}

function addressOf(chapter) {
  return `/lookbook.html?chapter=${chapter.id}`;
}

function show(chapter) {
  const at = CHAPTERS.indexOf(chapter);
  document.title = `${chapter.title} · Lookbook · Larch`;
  stage.className = `scene ${chapter.id}`;
  stage.innerHTML = `<div class="caption"><p class="eyebrow">${at + 1} of ${CHAPTERS.length}</p><h1>${chapter.title}</h1><p>${chapter.text}</p><ul></ul></div>`;
  stage.prepend(sceneArt(chapter.id));
  stage.querySelector("ul").append(...chapter.wears.map(worn));
  steps.replaceChildren(...CHAPTERS.map((other) => link(other, other === chapter)));
}

function worn(id) {
  const product = productById(id);
  const item = document.createElement("li");
  item.innerHTML = `<a href="/product.html?id=${id}"><span class="tile ${product.tone}"></span><span>${product.name}<small>${priceText(product.price)}</small></span></a>`;
  item.querySelector(".tile").append(productArt(id));
  return item;
}

function link(chapter, isCurrent) {
  const anchor = document.createElement("a");
  anchor.href = addressOf(chapter);
  anchor.textContent = chapter.title;
  if (isCurrent) anchor.setAttribute("aria-current", "page");
  anchor.addEventListener("click", (event) => {
    if (event.metaKey || event.ctrlKey || event.shiftKey) return;
    event.preventDefault();
    history.pushState({}, "", anchor.href);
    show(chapter);
  });
  return anchor;
}

addEventListener("popstate", () => show(chapterOf(location.href)));
show(chapterOf(location.href));
