// The build of the Worker with the table of what it weighs.
import { build } from "./build.mjs";
import { refuseOversize, sizeTable } from "./size.mjs";

/** Builds what has changed, says what it weighs, and refuses a Worker that is too large. */
export async function buildAndWeigh() {
  const size = await build();
  console.log(sizeTable(size));
  refuseOversize(size);
}
