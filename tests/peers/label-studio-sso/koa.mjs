// The program for Koa in label-studio-sso's README, as it stands there but for URL and token: a reverse proxy that sets the cookie
// when it is absent. Koa's `use` takes no path, so koa-mount stands for it.

import axios from "axios";
import Koa from "koa";
import mount from "koa-mount";

const app = new Koa();
// TLS ends before it.
app.proxy = true;
const labelStudioUrl = process.env.LABEL_STUDIO_URL;

/** @param {import("koa").Context} ctx */
async function proxyToLabelStudio(ctx) {
  const { status, headers, data } = await axios.request({
    url: `${labelStudioUrl}${ctx.url}`,
    method: ctx.method,
    headers: /** @type {Record<string, string>} */ (ctx.headers),
    responseType: "arraybuffer",
    maxRedirects: 0,
    validateStatus: () => true,
  });
  ctx.status = status;
  for (const name of ["content-type", "location"]) if (headers[name]) ctx.set(name, String(headers[name]));
  for (const cookie of headers["set-cookie"] ?? []) ctx.append("set-cookie", cookie);
  ctx.body = data;
}

app.use(async (ctx, next) => {
  ctx.state.user = { email: process.env.EMAIL };
  await next();
});

app.use(
  mount("/label-studio", async (ctx) => {
    const user = ctx.state.user; // Already authenticated user

    if (user && !ctx.cookies.get("ls_auth_token")) {
      // Request JWT from Label Studio API
      const response = await axios.post(
        `${labelStudioUrl}/api/sso/token`,
        { email: user.email },
        {
          headers: {
            Authorization: `Token ${process.env.LABEL_STUDIO_API_TOKEN}`,
            "Content-Type": "application/json",
          },
        },
      );

      // Set JWT cookie
      ctx.cookies.set("ls_auth_token", response.data.token, {
        path: "/",
        httpOnly: true,
        secure: true,
        sameSite: "lax",
        maxAge: response.data.expires_in * 1000,
      });
    }

    // Proxy to Label Studio
    await proxyToLabelStudio(ctx);
  }),
);

const server = app.listen(0, "127.0.0.1", () => {
  const address = server.address();
  console.log(typeof address === "object" ? address?.port : address);
});
