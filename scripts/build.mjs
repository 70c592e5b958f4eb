// `npm run build`: the Worker as it ships, in build/, with its size against the limit.
import { start } from "./lib/start.mjs";

await start(["rust", "npm", "target", "bindgen"], async () => {
  const [{ build }, { refuseOversize, sizeTable }] = await Promise.all([import("./lib/build.mjs"), import("./lib/size.mjs")]);
  const size = await build();
  console.log(sizeTable(size));
  refuseOversize(size);
});
