/** A page in React for Chromium: the component, the hook, and a router that changes the address. */
import { StrictMode, useEffect, useState } from "react";
import { createRoot } from "react-dom/client";
import { SluiceTracker, type SluiceTrackerProps } from "../react/SluiceTracker";
import { useSluice } from "../react/useSluice";

function Form() {
  const sluice = useSluice();
  useEffect(() => sluice("track", "form_seen"), [sluice]);
  return <button onClick={() => sluice("track", "signup", { plan: "pro" })}>Sign up</button>;
}

function App({ tracker }: { tracker: SluiceTrackerProps }) {
  const [isSecond, setSecond] = useState(false);
  const goOn = () => {
    history.pushState(null, "", "/second");
    setSecond(true);
  };
  return (
    <>
      {/* Two layouts, each with the tracker: unmounted and mounted again on the way. */}
      {isSecond ? <SluiceTracker key="2" {...tracker} /> : <SluiceTracker key="1" {...tracker} />}
      <Form />
      <a id="on" onClick={goOn}>
        On
      </a>
    </>
  );
}

const root = document.getElementById("root")!;
const tracker = JSON.parse(root.dataset.tracker!) as SluiceTrackerProps;
createRoot(root).render(
  <StrictMode>
    <App tracker={tracker} />
  </StrictMode>,
);
