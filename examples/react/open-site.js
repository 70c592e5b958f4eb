// A React component that shows a page of the site behind Edgeward inside a page of yours. No token comes near it: the
// frame begins at your own server, at `/open/link`, which asks for a token and redirects to the site.

import React from "react";

const { createElement: h, useId, useState } = React;

/**
 * @param {object} props
 * @param {string} props.page a path of the site, with its query
 * @param {string} props.title what assistive technology calls the frame
 */
export function OpenSite({ page, title }) {
  const id = useId();
  const [turn, setTurn] = useState(0);
  const [isLoading, setLoading] = useState(true);
  const source = `/open/link?page=${encodeURIComponent(page)}`;

  // A new frame, by a new key, and so a new token: to load an old address again would use its link twice.
  const reload = () => {
    setLoading(true);
    setTurn(turn + 1);
  };

  return h(
    "section",
    { "aria-labelledby": id, "aria-busy": isLoading },
    h("h2", { id }, title),
    h("button", { type: "button", onClick: reload }, "Load again"),
    " ",
    h("a", { href: source, target: "_blank", rel: "noreferrer" }, "Open in a tab"),
    h("iframe", { key: `${page} ${turn}`, src: source, title, onLoad: () => setLoading(false) }),
  );
}
