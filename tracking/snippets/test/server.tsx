/** What a server renders of the components, printed as JSON. `next/script` is the stand-in beside. */
import { renderToString } from "react-dom/server";
import { SluiceScript } from "../next/SluiceScript";
import { SluiceTracker } from "../react/SluiceTracker";
import { useSluice } from "../react/useSluice";

function Caller() {
  // It should not be called here, and must not break the page when it is.
  useSluice()("track", "rendered");
  return <p>Called</p>;
}

const props = {
  src: "https://events.shop.example/js/tracking.js",
  siteId: 'shop "A" & B',
  endpoint: "https://events.shop.example/collect",
  respectDnt: false,
  consent: "pending",
  plugins: ["vitals", "errors"],
  options: { flushSeconds: 10, debug: true },
} as const;

console.log(
  JSON.stringify({
    tracker: renderToString(<SluiceTracker {...props} />),
    bare: renderToString(<SluiceScript src="/js/tracking.js" />),
    script: renderToString(<SluiceScript {...props} nonce="n0nce" />),
    caller: renderToString(<Caller />),
  }),
);
