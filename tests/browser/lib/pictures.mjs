// The pictures of the README: a sign-in page with a brand, in the light and in the dark.

import { mkdirSync } from "node:fs";
import path from "node:path";
import { at } from "../../../scripts/lib/project.mjs";
import { heading, startGatewayStage } from "./gateway.mjs";

const FOLDER = "docs/pictures";
const LOGO =
  '<svg xmlns="http://www.w3.org/2000/svg" width="48" height="48" viewBox="0 0 48 48"><rect width="48" height="48" rx="12" fill="#7a1fa2"/><path d="M14 34V16l10 10 10-10v18" fill="none" stroke="#fff" stroke-width="4"/></svg>';

/**
 * Takes the pictures; gives their files.
 * @returns {Promise<string[]>}
 */
export async function takePictures() {
  const stage = await startGatewayStage({
    sites: { HOME: "wiki.ward.test" },
    names: [],
    settings: {
      name: "Meridian",
      logo: `data:image/svg+xml;base64,${Buffer.from(LOGO).toString("base64")}`,
      accent: "#7a1fa2",
      contact: "help@example.com",
      passkeys: {},
    },
  });
  try {
    mkdirSync(at(FOLDER), { recursive: true });
    const files = [];
    for (const colorScheme of /** @type {const} */ (["light", "dark"])) {
      const { page } = await stage.visitor({ colorScheme, viewport: { width: 760, height: 660 }, deviceScaleFactor: 1 });
      await page.goto(`${stage.url}/login/`);
      await heading(page, "Sign in");
      const file = path.join(FOLDER, `sign-in-${colorScheme}.png`);
      await page.screenshot({ path: at(file) });
      files.push(file);
    }
    return files;
  } finally {
    await stage.stop();
  }
}
