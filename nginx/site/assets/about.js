import { toast } from "./chrome.js";
import { command, track } from "./track.js";

const form = document.querySelector("#contact");

form.addEventListener("submit", (event) => {
  event.preventDefault();
  // About what, and how long; never what somebody wrote. That a form was submitted the tracker tells itself.
  track("message_sent", { topic: form.topic.value, messageLength: form.message.value.length });
  form.reset();
  toast("Thank you. Nobody will answer, but the event is on its way.");
});

document.querySelector("#opt-out").addEventListener("click", () => {
  command("optOut");
  toast("Opted out: nothing is captured any more, and your ids are gone.");
});
document.querySelector("#opt-in").addEventListener("click", () => {
  command("optIn");
  toast("Opted in, as a new visitor.");
});
