// `npm run pictures`: takes the pictures of the README anew, of the Worker in workerd and in a real browser.
import { start } from "../../scripts/lib/start.mjs";

await start(["rust", "npm", "target", "bindgen"], async () => {
  const { build } = await import("../../scripts/lib/build.mjs");
  const { takePictures } = await import("./lib/pictures.mjs");
  await build();
  for (const file of await takePictures()) console.log(file);
});
