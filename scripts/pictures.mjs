// `npm run pictures`: takes the pictures of the README anew, of the Worker in workerd and in a real browser.
import { start } from "./lib/start.mjs";

await start(["rust", "npm", "target", "bindgen"], async () => {
  const { build } = await import("./lib/build.mjs");
  const { takePictures } = await import("../tests/browser/lib/pictures.mjs");
  await build();
  for (const file of await takePictures()) console.log(file);
});
