// From label-studio-sso (MIT), examples/custom-jwt.md, "Custom JWT System Integration"; as it stands there.
// LabelStudioEmbed.jsx
import React, { useState, useEffect } from "react";

function LabelStudioEmbed() {
  const [iframeUrl, setIframeUrl] = useState("");
  const [loading, setLoading] = useState(true);
  const [error, setError] = useState(null);

  useEffect(() => {
    async function loadLabelStudio() {
      try {
        const response = await fetch("/api/label-studio-token");
        const data = await response.json();

        setIframeUrl(`${data.url}?token=${data.token}`);
        setLoading(false);
      } catch (err) {
        setError(err.message);
        setLoading(false);
      }
    }

    loadLabelStudio();
  }, []);

  if (loading) {
    return <div>Loading Label Studio...</div>;
  }

  if (error) {
    return <div>Error loading Label Studio: {error}</div>;
  }

  return (
    <div style={{ width: "100%", height: "100vh" }}>
      <iframe
        src={iframeUrl}
        style={{ width: "100%", height: "100%", border: "none" }}
        allow="fullscreen"
        title="Label Studio"
      />
    </div>
  );
}

export default LabelStudioEmbed;
