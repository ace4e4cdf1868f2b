import type { ScriptHTMLAttributes } from "react";

/** Stands in for `next/script`: the tag as it is given, and nothing of when it is loaded. */
export default function Script({ strategy, ...tag }: ScriptHTMLAttributes<HTMLScriptElement> & { strategy?: string }) {
  return <script data-strategy={strategy} {...tag} />;
}
