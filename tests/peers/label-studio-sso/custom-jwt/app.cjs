// From label-studio-sso (MIT), examples/custom-jwt.md, "Custom JWT System Integration"; as it stands there.
// app.js
const express = require("express");
const jwt = require("jsonwebtoken");

const app = express();
const JWT_SECRET = "x7KjN9mP2vL5wQ8rT4gH1nY6uB3sC0dE9fA5xZ7kM2p";
const LABEL_STUDIO_URL = "https://label-studio.example.com";

// Middleware to check if user is authenticated
function requireAuth(req, res, next) {
  if (!req.user) {
    return res.status(401).json({ error: "Not authenticated" });
  }
  next();
}

// Generate JWT token for Label Studio SSO
function generateLabelStudioToken(user) {
  return jwt.sign(
    {
      email: user.email,
      first_name: user.firstName,
      last_name: user.lastName,
      iat: Math.floor(Date.now() / 1000),
      exp: Math.floor(Date.now() / 1000) + 600, // 10 minutes
    },
    JWT_SECRET,
    { algorithm: "HS256" }
  );
}

// Route to redirect to Label Studio with SSO
app.get("/label-studio", requireAuth, (req, res) => {
  const token = generateLabelStudioToken(req.user);
  const labelStudioUrl = `${LABEL_STUDIO_URL}/?token=${token}`;
  res.redirect(labelStudioUrl);
});

// API endpoint to get token (for iframe)
app.get("/api/label-studio-token", requireAuth, (req, res) => {
  const token = generateLabelStudioToken(req.user);
  res.json({ token, url: LABEL_STUDIO_URL });
});

app.listen(3000, () => {
  console.log("Server running on http://localhost:3000");
});
