/** The shop's pictures: small drawings instead of photographs. */

const INK = "#22352d";
const PAPER = "#f8f4ea";
const RUST = "#bf5b36";
const OCHRE = "#dba544";
const WOOD = "#c7955f";
const WOOD_DARK = "#a97845";
const STEEL = "#6f8580";

const shadow = (width, y = 196) => `<ellipse cx="120" cy="${y}" rx="${width}" ry="8" fill="${INK}" opacity=".13"/>`;

const DRAWINGS = {
  "tin-mug": `${shadow(62)}
    <path d="M158 108h16a20 20 0 0 1 20 20v6a26 26 0 0 1-26 26h-12" fill="none" stroke="${PAPER}" stroke-width="12"/>
    <path d="M70 84h92v92a18 18 0 0 1-18 18H88a18 18 0 0 1-18-18z" fill="${PAPER}"/>
    <path d="M140 84h22v92a18 18 0 0 1-18 18h-22a18 18 0 0 0 18-18z" fill="${INK}" opacity=".07"/>
    <rect x="64" y="78" width="104" height="11" rx="5.5" fill="${INK}"/>
    <g fill="${STEEL}" opacity=".55"><circle cx="88" cy="112" r="2"/><circle cx="104" cy="132" r="1.6"/><circle cx="92" cy="158" r="2.2"/><circle cx="124" cy="118" r="1.8"/><circle cx="132" cy="150" r="2"/><circle cx="112" cy="172" r="1.7"/><circle cx="146" cy="104" r="1.5"/><circle cx="148" cy="170" r="1.8"/></g>
    <g fill="none" stroke="${PAPER}" stroke-width="5" stroke-linecap="round" opacity=".85"><path d="M98 62c-8-9 8-14 0-24"/><path d="M118 62c-8-9 8-14 0-24"/><path d="M138 62c-8-9 8-14 0-24"/></g>`,

  "wool-blanket": `${shadow(84)}
    <path d="M50 156h140v28a10 10 0 0 1-10 10H60a10 10 0 0 1-10-10z" fill="#e2d6bf"/>
    <rect x="46" y="120" width="148" height="40" rx="16" fill="#f2e9d6"/>
    <rect x="46" y="84" width="148" height="40" rx="16" fill="${PAPER}"/>
    <path d="M46 104a20 20 0 0 1 0 0M62 84h20v40H62z" fill="${RUST}"/><path d="M92 84h10v40H92z" fill="${INK}"/>
    <path d="M62 120h20v40H62z" fill="#a94d2c"/><path d="M92 120h10v40H92z" fill="#1a2923"/>
    <path d="M62 158h20v36H62z" fill="#8f4226"/><path d="M92 158h10v36H92z" fill="#15211c"/>
    <g stroke="#e2d6bf" stroke-width="3" stroke-linecap="round"><path d="M190 96h12M190 104h14M190 112h12M190 132h12M190 140h14M190 148h12"/></g>`,

  "storm-lantern": `${shadow(50, 204)}
    <path d="M78 96C78 40 162 40 162 96" fill="none" stroke="${INK}" stroke-width="5"/>
    <path d="M82 92v76M158 92v76" stroke="${INK}" stroke-width="7"/>
    <path d="M100 66h40l8 24H92z" fill="${RUST}"/><rect x="108" y="54" width="24" height="14" rx="3" fill="#a94d2c"/>
    <path d="M94 92h52c12 26 12 48 0 72H94c-12-24-12-46 0-72z" fill="#fff3cf" opacity=".92"/>
    <path d="M120 108c16 18 16 32 0 44-16-12-16-26 0-44z" fill="${OCHRE}"/><path d="M120 126c8 9 8 17 0 24-8-7-8-15 0-24z" fill="#fffaf0"/>
    <path d="M88 128h64" stroke="${INK}" stroke-width="3"/>
    <path d="M88 162h64l10 34a8 8 0 0 1-8 8H86a8 8 0 0 1-8-8z" fill="${RUST}"/><path d="M128 162h24l10 34a8 8 0 0 1-8 8h-14z" fill="#8f4226" opacity=".5"/>
    <circle cx="102" cy="182" r="6" fill="${OCHRE}"/>`,

  "trail-kettle": `${shadow(70)}
    <path d="M70 106C70 30 170 30 170 106" fill="none" stroke="${INK}" stroke-width="7"/>
    <path d="M168 138c22-2 22-30 38-36l4 10c-10 6-8 44-40 50z" fill="#3d5750"/>
    <path d="M66 120c0-18 24-26 54-26s54 8 54 26l10 54c2 12-6 20-18 20H74c-12 0-20-8-18-20z" fill="#48655d"/>
    <path d="M140 96c22 3 34 11 34 24l10 54c2 12-6 20-18 20h-28c14-20 14-70 2-98z" fill="${INK}" opacity=".25"/>
    <path d="M84 98c4-10 18-14 36-14s32 4 36 14z" fill="${INK}"/><circle cx="120" cy="78" r="8" fill="${OCHRE}"/>
    <path d="M76 132c6-4 10-5 18-6" stroke="${PAPER}" stroke-width="5" stroke-linecap="round" opacity=".5"/>`,

  "field-notebook": `${shadow(62, 204)}
    <g transform="rotate(-7 120 122)"><rect x="72" y="48" width="104" height="148" rx="6" fill="${PAPER}"/><rect x="66" y="44" width="104" height="150" rx="7" fill="#2f4a3f"/>
    <path d="M66 51a7 7 0 0 1 7-7h9v150h-9a7 7 0 0 1-7-7z" fill="#233a31"/>
    <path d="M92 140l20-34 12 18 8-12 18 28z" fill="none" stroke="${OCHRE}" stroke-width="4" stroke-linejoin="round"/><circle cx="138" cy="96" r="6" fill="${OCHRE}"/>
    <rect x="154" y="44" width="6" height="150" fill="${RUST}"/></g>
    <g transform="rotate(24 184 130)"><path d="M180 60h10v112l-5 14-5-14z" fill="${OCHRE}"/><path d="M180 172h10l-5 14z" fill="#f0dcb4"/><path d="M180 60h10v12h-10z" fill="${RUST}"/></g>`,

  "beeswax-candle": `${shadow(62)}
    <path d="M120 40c16 18 16 32 0 46-16-14-16-28 0-46z" fill="${OCHRE}"/><path d="M120 60c7 8 7 16 0 24-7-8-7-16 0-24z" fill="#fff6dd"/>
    <path d="M120 82v18" stroke="${INK}" stroke-width="4"/>
    <ellipse cx="120" cy="106" rx="56" ry="12" fill="#f0c877"/><path d="M64 106h112v70a18 18 0 0 1-18 18H82a18 18 0 0 1-18-18z" fill="${STEEL}"/>
    <path d="M64 106c0 7 25 13 56 13s56-6 56-13v14c0 7-25 13-56 13s-56-6-56-13z" fill="#5b706b"/>
    <rect x="88" y="142" width="64" height="36" rx="3" fill="${PAPER}"/><path d="M98 154h44M98 164h28" stroke="${INK}" stroke-width="3" stroke-linecap="round"/>
    <circle cx="136" cy="164" r="4" fill="${RUST}"/>`,

  "day-rucksack": `${shadow(64, 204)}
    <path d="M102 56c0-22 36-22 36 0" fill="none" stroke="${INK}" stroke-width="7"/>
    <path d="M66 100c0-30 24-46 54-46s54 16 54 46v84a20 20 0 0 1-20 20H86a20 20 0 0 1-20-20z" fill="#b7713f"/>
    <path d="M150 64c16 8 24 20 24 36v84a20 20 0 0 1-20 20h-14c12-40 14-100 10-140z" fill="${INK}" opacity=".14"/>
    <path d="M64 100c0-32 26-50 56-50s56 18 56 50v16a10 10 0 0 1-10 10H74a10 10 0 0 1-10-10z" fill="#2f4a3f"/>
    <rect x="84" y="146" width="72" height="44" rx="8" fill="#9c5c30"/><path d="M84 158h72" stroke="#7f4722" stroke-width="4"/>
    <path d="M92 108v34M148 108v34" stroke="${OCHRE}" stroke-width="9"/><rect x="86" y="128" width="12" height="10" rx="2" fill="${INK}"/><rect x="142" y="128" width="12" height="10" rx="2" fill="${INK}"/>`,

  "bread-board": `${shadow(88, 192)}
    <g transform="rotate(-4 120 160)"><rect x="34" y="150" width="140" height="36" rx="12" fill="${WOOD}"/><rect x="166" y="160" width="42" height="16" rx="8" fill="${WOOD}"/><circle cx="198" cy="168" r="4" fill="${PAPER}"/>
    <path d="M34 170h140v4a12 12 0 0 1-12 12H46a12 12 0 0 1-12-12z" fill="${WOOD_DARK}"/><path d="M52 160h60M70 166h70" stroke="${WOOD_DARK}" stroke-width="2.5" stroke-linecap="round" opacity=".6"/></g>
    <path d="M54 144c-10-40 20-64 60-64s66 22 58 58c-2 10-10 14-20 15l-80 4c-10 0-16-4-18-13z" fill="#b5692f"/>
    <path d="M62 134c-6-30 20-46 52-46s56 16 50 42" fill="none" stroke="#d99a55" stroke-width="9" stroke-linecap="round"/>
    <g stroke="#f2d9ac" stroke-width="7" stroke-linecap="round"><path d="M88 96l12 26M114 90l10 28M140 94l8 24"/></g>`,
};

/** The product's picture as an SVG element; decorative, since the name stands beside it. */
export function productArt(id) {
  return svg("0 0 240 240", DRAWINGS[id] || "");
}

function svg(viewBox, markup) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  element.setAttribute("viewBox", viewBox);
  element.setAttribute("aria-hidden", "true");
  element.innerHTML = markup;
  return element;
}

const pine = (x, y, size, fill) =>
  `<path d="M${x} ${y - size}l${size * 0.3} ${size * 0.42}h-${size * 0.12}l${size * 0.2} ${size * 0.34}h-${size * 0.3}v${size * 0.24}h-${size * 0.16}v-${size * 0.24}h-${size * 0.3}l${size * 0.2}-${size * 0.34}h-${size * 0.12}z" fill="${fill}"/>`;
const pines = (places, fill) => places.map(([x, y, size]) => pine(x, y, size, fill)).join("");

const SCENES = {
  morning: `<rect width="1200" height="640" fill="#f3d9b8"/><circle cx="820" cy="250" r="84" fill="#f8efd9"/>
    <path d="M0 330l180-150 150 120 190-200 210 220 150-110 320 190v260H0z" fill="#d9a98a"/>
    <path d="M0 390l240-120 220 110 260-130 220 120 260-70v360H0z" fill="#a5826f"/>
    <rect y="430" width="1200" height="210" fill="#e9c6a0"/><path d="M560 452h520M620 478h400M690 506h260M740 532h160" stroke="#f8efd9" stroke-width="7" stroke-linecap="round"/>
    <path d="M0 430h420c60 30 20 60-60 80S150 560 0 580z" fill="#40584c"/>${pines([[60, 470, 150], [130, 480, 190], [210, 482, 130], [290, 476, 170], [360, 466, 100]], "#2c4237")}
    <path d="M760 560h190l-26 34H792z" fill="#7a3f27"/><path d="M752 556h206v10H752z" fill="#5f2f1c"/>`,
  noon: `<rect width="1200" height="640" fill="#cfdfda"/><circle cx="300" cy="140" r="58" fill="#fbf4df"/>
    <path d="M760 150h160a32 32 0 0 1 0 0a30 30 0 0 1 30 30H700a34 34 0 0 1 60-30zM180 250h120a26 26 0 0 1 26 26H130a28 28 0 0 1 50-26z" fill="#f4f5ee"/>
    <path d="M300 420L640 90l150 150 60-50 350 260v190H300z" fill="#8aa39b"/><path d="M640 90l150 150-60 20-50-40-40 50-50-44-60 34z" fill="#f8f6ee"/>
    <path d="M0 440c200-120 420-90 640-20s400 60 560-40v260H0z" fill="#93a869"/><path d="M0 520c260-90 520-50 760 0s320 40 440 0v120H0z" fill="#6f8a50"/>
    ${pines([[930, 440, 120], [1000, 450, 160], [1080, 446, 130], [1140, 440, 170]], "#3f5b41")}
    <path d="M540 640c20-80 90-100 60-150s-90-40-60-84" fill="none" stroke="#efe3c4" stroke-width="20" stroke-linecap="round"/>
    <g fill="#bf5b36"><circle cx="160" cy="590" r="7"/><circle cx="230" cy="612" r="6"/><circle cx="330" cy="586" r="7"/><circle cx="800" cy="600" r="7"/><circle cx="900" cy="580" r="6"/></g>`,
  rain: `<rect width="1200" height="640" fill="#93a7a8"/><path d="M0 300l220-130 200 120 240-160 260 170 280-110v450H0z" fill="#7b9193"/>
    <path d="M0 390l300-90 280 80 300-90 320 100v250H0z" fill="#5f787a"/><path d="M0 480c300-60 700-60 1200 0v160H0z" fill="#3f5654"/>
    ${pines([[90, 500, 170], [170, 506, 220], [260, 500, 150], [1010, 500, 210], [1090, 506, 160], [1160, 500, 230]], "#2b403d")}
    <g transform="translate(160 0)"><path d="M520 400l120-90 120 90v110H520z" fill="#8f4a2e"/><path d="M500 408l140-108 140 108-14 14-126-96-126 96z" fill="#3a2a22"/><rect x="610" y="430" width="60" height="80" fill="#5a2f1d"/><rect x="548" y="426" width="40" height="36" fill="#f3cf7c"/><rect x="692" y="426" width="40" height="36" fill="#f3cf7c"/><rect x="704" y="306" width="26" height="60" fill="#3a2a22"/></g>
    <g stroke="#dfe8e6" stroke-width="3" stroke-linecap="round" opacity=".55"><path d="M80 60l-14 44M220 120l-14 44M360 40l-14 44M470 150l-14 44M600 70l-14 44M740 140l-14 44M860 50l-14 44M980 130l-14 44M1110 60l-14 44M140 240l-14 44M300 300l-14 44M420 330l-14 44M860 280l-14 44M960 340l-14 44M1120 250l-14 44M380 540l-14 44M820 560l-14 44M1000 570l-14 44M240 580l-14 44"/></g>`,
  night: `<rect width="1200" height="640" fill="#1d2f3a"/><circle cx="930" cy="130" r="54" fill="#f4ead0"/><circle cx="954" cy="116" r="46" fill="#1d2f3a"/>
    <g fill="#f4ead0"><circle cx="120" cy="80" r="3"/><circle cx="240" cy="160" r="2"/><circle cx="330" cy="60" r="2.5"/><circle cx="450" cy="130" r="2"/><circle cx="560" cy="50" r="3"/><circle cx="660" cy="170" r="2"/><circle cx="760" cy="80" r="2.5"/><circle cx="1060" cy="210" r="2"/><circle cx="1130" cy="90" r="3"/><circle cx="180" cy="250" r="2"/><circle cx="820" cy="230" r="2"/><circle cx="520" cy="220" r="2"/></g>
    <path d="M0 420l260-170 200 140 220-190 240 200 280-130v370H0z" fill="#2a4350"/><path d="M0 480c300-70 820-70 1200 0v160H0z" fill="#1b2b26"/>
    ${pines([[90, 500, 200], [180, 510, 150], [1040, 504, 230], [1130, 510, 170]], "#12201c")}
    <g transform="translate(150 0)"><circle cx="600" cy="500" r="190" fill="#e2a94a" opacity=".13"/><circle cx="600" cy="510" r="120" fill="#e2a94a" opacity=".16"/>
    <path d="M470 550L600 380l130 170z" fill="#dba544"/><path d="M600 380l130 170h-70z" fill="#bf7a33"/><path d="M600 430l36 120h-72z" fill="#fdf0c8"/>
    <path d="M440 556h320" stroke="#0f1a17" stroke-width="8" stroke-linecap="round"/></g>`,
};

export function sceneArt(name) {
  const scene = svg("0 0 1200 640", SCENES[name] || "");
  scene.setAttribute("preserveAspectRatio", "xMaxYMid slice");
  return scene;
}
