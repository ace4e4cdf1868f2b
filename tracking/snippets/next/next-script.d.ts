/** What is used of `next/script`, for checking this folder without Next. Leave it out of the project. */
declare module "next/script" {
  import type { ReactElement, ScriptHTMLAttributes } from "react";
  interface ScriptProps extends ScriptHTMLAttributes<HTMLScriptElement> {
    strategy?: "afterInteractive" | "lazyOnload" | "beforeInteractive" | "worker";
  }
  export default function Script(props: ScriptProps): ReactElement | null;
}
