export const CURRENCY = "EUR";

export const PRODUCTS = [
  { id: "tin-mug", name: "Tin mug", category: "Kitchen", price: 18, tone: "mist", line: "Enamel on steel, for coffee that tastes of smoke.", facts: ["350 ml", "Enamelled steel", "Fine over embers"] },
  { id: "wool-blanket", name: "Wool blanket", category: "Home", price: 129, tone: "sand", line: "Undyed wool with two honest stripes.", facts: ["140 × 200 cm", "Swiss mountain wool", "Airs clean overnight"] },
  { id: "storm-lantern", name: "Storm lantern", category: "Outdoors", price: 64, tone: "dusk", line: "Twenty hours of light that wind cannot argue with.", facts: ["1 litre tank", "Brass burner", "Glass replaceable"] },
  { id: "trail-kettle", name: "Trail kettle", category: "Kitchen", price: 52, tone: "clay", line: "Boils before the tent is up.", sound: "/assets/kettle.wav", facts: ["1.1 litres", "Hard-anodised", "310 g"] },
  { id: "field-notebook", name: "Field notebook", category: "Paper", price: 14.5, tone: "moss", line: "Stone paper: write in rain, read in sun.", facts: ["A6, 96 pages", "Dot grid", "Lies flat"] },
  { id: "beeswax-candle", name: "Beeswax candle", category: "Home", price: 22, tone: "sand", line: "Poured in the valley, smells of July.", facts: ["30 hours", "Pure beeswax", "Refillable tin"] },
  { id: "day-rucksack", name: "Day rucksack", category: "Outdoors", price: 148, tone: "mist", line: "Waxed canvas that will outlive its first owner.", facts: ["18 litres", "Waxed cotton", "Repaired for free"] },
  { id: "bread-board", name: "Bread board", category: "Kitchen", price: 39, tone: "clay", line: "One piece of ash, oiled twice.", facts: ["42 × 20 cm", "Local ash", "Juice groove"] },
];

export function productById(id) {
  return PRODUCTS.find((product) => product.id === id);
}

export function priceText(value) {
  return new Intl.NumberFormat("en-IE", { style: "currency", currency: CURRENCY }).format(value);
}

/** Products whose name, category or line holds every word asked for. */
export function findProducts(query) {
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  return PRODUCTS.filter((product) => {
    const text = `${product.name} ${product.category} ${product.line}`.toLowerCase();
    return words.every((word) => text.includes(word));
  });
}
