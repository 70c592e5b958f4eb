// The program for Express in label-studio-sso's README, as it stands there but for URL and token. Whoever opens `/` is signed in.

import axios from "axios";
import express from "express";

const app = express();
const user = { email: process.env.EMAIL };

app.get("/", async (_req, res) => {
  // Get Label Studio admin API token from environment
  const labelStudioApiToken = process.env.LABEL_STUDIO_API_TOKEN;

  // Request JWT token from Label Studio
  const response = await axios.post(
    `${process.env.LABEL_STUDIO_URL}/api/sso/token`,
    { email: user.email },
    {
      headers: {
        Authorization: `Token ${labelStudioApiToken}`,
        "Content-Type": "application/json",
      },
    },
  );

  const { token, expires_in } = response.data;

  // Set HttpOnly cookie (recommended)
  res.cookie("ls_auth_token", token, {
    httpOnly: true,
    secure: true,
    sameSite: "strict",
    path: "/",
    maxAge: expires_in * 1000,
  });

  // Redirect to Label Studio (clean URL!)
  res.redirect(`${process.env.LABEL_STUDIO_URL}/`);
});

const server = app.listen(0, "127.0.0.1", () => {
  const address = server.address();
  console.log(typeof address === "object" ? address?.port : address);
});
