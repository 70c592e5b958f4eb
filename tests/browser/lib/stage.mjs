// Everything on one stage: the Worker in workerd with the demo origin behind it, the network in
// front, and a real Chromium.

import { startDemoOrigin } from "../../../examples/demo-origin/server.mjs";
import { startWorld } from "../../edge/lib/world.mjs";
import { startExpress, startFlask, startKoa } from "./applications.mjs";
import { launchBrowser } from "./browser.mjs";
import { startNetwork } from "./network.mjs";

/** @import { BrowserContext, BrowserContextOptions, FrameLocator, Page } from "playwright-core" */
/** @import { SiteSettings, WorldOptions } from "../../edge/lib/world.mjs" */
/** @import { Network } from "./network.mjs" */
/** @import { Request } from "miniflare" */

/** @typedef {Awaited<ReturnType<typeof startStage>>} Stage */
/** @typedef {{ siteNames: string[], applicationNames: string[], sites: (network: Network) => Record<string, SiteSettings>, vars?: (network: Network) => Record<string, unknown>, callsNames?: boolean, withBrowser?: boolean }} StageOptions */

/** The applications that a stage can start, by the name of their folder in examples/. */
const APPLICATIONS = { express: startExpress, flask: startFlask, koa: startKoa };

/**
 * - `siteNames`, `applicationNames`: the host names under which sites and applications are reached
 * - `sites`: function of the network, gives the sites as `startWorld` wants them; without an `upstream` of their own
 *   they are in front of the demo origin
 * - `vars`: function of the network, gives further variables of the Worker
 * - `callsNames`: whether the Worker itself calls applications by their names
 * - anything else goes to `startWorld`
 * @param {StageOptions & Omit<WorldOptions, "sites" | "vars">} options
 */
export async function startStage({ siteNames, applicationNames, sites, vars, callsNames = false, withBrowser = true, ...options }) {
  /** @type {(() => Promise<unknown>)[]} */
  const stops = [];
  const stop = async () => {
    /** @type {unknown[]} */
    const failures = [];
    for (const one of stops.splice(0).reverse()) await one().catch((failure) => failures.push(failure));
    if (failures.length > 0) throw failures[0];
  };
  try {
    const network = await startNetwork([...siteNames, ...applicationNames]);
    stops.push(() => network.stop());
    const demo = await startDemoOrigin();
    stops.push(() => demo.stop());
    const settings = sites(network);
    for (const site of Object.values(settings)) site.upstream ??= `http://127.0.0.1:${demo.port}`;
    const world = await startWorld({
      sites: settings,
      ...(vars && { vars: vars(network) }),
      ...(callsNames && { outbound: (/** @type {Request} */ request) => network.fetch(request) }),
      ...options,
    });
    stops.push(() => world.stop());
    for (const name of siteNames) network.route(name, world.entryPort);
    const browser = withBrowser ? await launchBrowser({ trusted: network.publicKeyHash }) : undefined;
    stops.push(async () => browser?.close());

    return {
      network,
      world,
      browser,
      stop,
      /**
       * Starts an example for a site; it answers to each of `names`.
       * @param {keyof typeof APPLICATIONS} kind
       * @param {{ site: string, names: string[], environment?: Record<string, string> }} place
       */
      async startApplication(kind, { site, names, environment = {} }) {
        const application = await APPLICATIONS[kind]({
          ...network.environment,
          EDGEWARD_URL: network.origin(site),
          EDGEWARD_API_TOKEN: await world.apiToken("token:issue"),
          ...environment,
        });
        stops.push(() => application.stop());
        for (const name of names) network.route(name, application.port);
        return application;
      },
      /**
       * A fresh browser profile. Whatever a page complains about is in its `complaints`.
       * @param {BrowserContextOptions} [options]
       */
      async visitor(options = {}) {
        if (browser === undefined) throw new Error("the stage has no browser");
        const context = await browser.newContext({ ignoreHTTPSErrors: true, viewport: { width: 1000, height: 720 }, ...options });
        context.setDefaultTimeout(10_000);
        /** @type {string[]} */
        const complaints = [];
        context.on("console", (message) => {
          if (message.type() === "error" || message.type() === "warning") complaints.push(message.text());
        });
        context.on("weberror", (error) => complaints.push(String(error.error())));
        return { context, complaints, page: await newPage(context) };
      },
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/**
 * A page in a browser that blocks third-party cookies, as many do.
 * @param {BrowserContext} context
 */
async function newPage(context) {
  const page = await context.newPage();
  const session = await context.newCDPSession(page);
  await session.send("Network.enable");
  // The last two are asked for by older versions of Chromium; newer ones do not look at them.
  const controls = { enableThirdPartyCookieRestriction: true, disableThirdPartyCookieMetadata: true, disableThirdPartyCookieHeuristics: true };
  await session.send("Network.setCookieControls", controls);
  return page;
}

/**
 * What the demo origin received, read from the page that it made of it. `place` is a page or a frame.
 * @param {Page | FrameLocator} place
 */
export async function receivedByOrigin(place) {
  await place.getByText("Headers, in the order of the wire").waitFor();
  const rows = await place
    .locator("table tr")
    .evaluateAll((list) => list.map((row) => [row.querySelector("th")?.firstChild?.textContent?.toLowerCase(), row.querySelector("td")?.textContent]));
  return {
    heading: await place.locator("h1").textContent(),
    request: await place.locator("section code").first().textContent(),
    /** @param {string} name */
    header: (name) =>
      rows
        .filter(([key]) => key === name)
        .map(([, value]) => value)
        .join(", ") || undefined,
  };
}
