/** Send some events with Umami's client for servers: node umami-node.mjs HOST WEBSITE */
import node from "@umami/node";

const [hostUrl, websiteId] = process.argv.slice(2);
const umami = new node.Umami({ hostUrl, websiteId, userAgent: "Agent/1" });

const page = {
  hostname: "shop.example",
  language: "de-CH",
  referrer: "/",
  screen: "1920x1080",
  title: "Red shoes",
  url: "/p/7?utm_source=news",
};
const answers = [
  await umami.track(page),
  await umami.track({ ...page, name: "signup", data: { plan: "pro", seats: 3 } }),
  await umami.track("heartbeat", { n: 1 }),
  await umami.identify({ role: "admin" }),
];
const read = async (answer) => ({ status: answer.status, body: await answer.json() });
console.log(JSON.stringify(await Promise.all(answers.map(read))));
