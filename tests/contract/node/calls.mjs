// Makes every call of a real SDK, unchanged: node calls.mjs SDK URL KEY USER. Exits 0 when the SDK reported no error.
import { createRequire } from "node:module";

const [sdk, url, key, user] = process.argv.slice(2);
const require = createRequire(import.meta.url);
const order = {
  order_id: "o-1", total: 12.5, currency: "EUR",
  products: [{ product_id: "p", quantity: 1, price: 12.5 }],
};
const errors = [];

async function segment() {
  const { Analytics } = require("@segment/analytics-node");
  const analytics = new Analytics({ writeKey: key, host: url, maxRetries: 0 });
  analytics.on("error", (error) => errors.push(error));
  calls(analytics, new Date("2026-01-02T00:00:00Z"));
  await analytics.closeAndFlush({ timeout: 15000 });
}

async function rudder() {
  const loaded = require("@rudderstack/rudder-sdk-node");
  const Analytics = loaded.default ?? loaded;
  const analytics = new Analytics(key, { dataPlaneUrl: url, maxRetryCount: 0, logLevel: "silly" });
  calls(analytics, new Date("2026-01-02T00:00:00Z"));
  await analytics.flush().catch((error) => errors.push(error));
}

function calls(analytics, at) {
  analytics.identify({ userId: user, traits: { email: `${user}@example.com`, city: "Shiraz" } });
  analytics.track({ userId: user, event: "Order Completed", properties: order, timestamp: at, originalTimestamp: at });
  analytics.page({ userId: user, name: "Home", properties: { url: "https://shop.example/" } });
  analytics.screen({ userId: user, name: "Cart" });
  analytics.group({ userId: user, groupId: "g-1", traits: { plan: "gold" } });
  analytics.alias({ userId: user, previousId: "anon-1" });
}

await { segment, rudder }[sdk]();
for (const error of errors) console.error(error);
process.exit(errors.length ? 1 : 0);
