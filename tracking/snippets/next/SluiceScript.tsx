"use client";

import Script from "next/script";
import { useEffect } from "react";
import { installQueue } from "../react/queue";
import { scriptAttributes, type SluiceTrackerProps } from "../react/SluiceTracker";

/**
 * For `app/layout.tsx`: the tag by `next/script`, which is there once however often the layout is
 * rendered. Views of the App Router are changes of address, which the tracker records itself.
 */
export function SluiceScript(props: SluiceTrackerProps & { nonce?: string }) {
  useEffect(installQueue, []);
  return (
    <Script id="sluice" src={props.src} strategy="afterInteractive" nonce={props.nonce} {...scriptAttributes(props)} />
  );
}
