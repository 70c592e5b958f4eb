// All sections, in the order in which `--section all` measures them.

import hot from "./hot.mjs";
import page from "./page.mjs";
import refusals from "./refusals.mjs";
import scale from "./scale.mjs";

export const SECTIONS = [hot, page, scale, refusals];
