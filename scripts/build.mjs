// `npm run build`: builds the Worker as it ships into build/ and checks its size.
import { start } from "./lib/start.mjs";

await start(["rust", "npm", "target", "bindgen"], async () => {
  const [{ build }, { refuseOversize, sizeTable }] = await Promise.all([import("./lib/build.mjs"), import("./lib/size.mjs")]);
  const size = await build();
  console.log(sizeTable(size));
  refuseOversize(size);
});
