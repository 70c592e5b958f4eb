package com.example.edgeward;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.time.Duration;
import java.time.Instant;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.regex.Pattern;

/** Asks Edgeward for SSO tokens, and says where to send a browser with one. */
final class HandOver {
    /** A kept token is renewed when it has less than this left, so that nobody arrives with an expired one. */
    private static final Duration MARGIN = Duration.ofMinutes(1);
    private static final Duration TIMEOUT = Duration.ofSeconds(5);
    private static final Pattern PAGE = Pattern.compile("/[!-~]*");
    private static final ObjectMapper JSON = new ObjectMapper();

    private final URI edgeward;
    private final String apiToken;
    /** Follows no redirect: the API token goes to this address and to no other. */
    private final HttpClient client = HttpClient.newBuilder().connectTimeout(TIMEOUT).followRedirects(HttpClient.Redirect.NEVER).build();
    /** The tokens for the cookie, by person: each one is asked for once in its lifetime. */
    private final Map<String, Token> kept = new ConcurrentHashMap<>();

    HandOver(URI edgeward, String apiToken) {
        this.edgeward = edgeward;
        this.apiToken = apiToken;
    }

    record Person(String email, String firstName, String lastName) {}

    record Token(String value, Instant expires) {
        long secondsLeft() {
            return Duration.between(Instant.now(), expires).toSeconds();
        }

        @Override
        public String toString() { // so that no log shows the value
            return "Token[expires=" + expires + "]";
        }
    }

    /** What the browser is told. The message is for the log, and has no secret. */
    static final class Refused extends RuntimeException {
        final int status;
        final String text;
        final String retryAfter;

        Refused(int status, String text, String message, String retryAfter) {
            super(message);
            this.status = status;
            this.text = text;
            this.retryAfter = retryAfter;
        }
    }

    /** The address of a page of the site, or null. What follows the fixed origin begins with "/", so it cannot change the host. */
    String addressOf(String page) {
        return PAGE.matcher(page).matches() ? edgeward.getScheme() + "://" + edgeward.getRawAuthority() + page : null;
    }

    /** An address with a token. A link works once, so each has a new token; the rest keeps every byte. */
    String link(String address, Person person) {
        int fragment = address.indexOf('#') < 0 ? address.length() : address.indexOf('#');
        String before = address.substring(0, fragment);
        return before + (before.contains("?") ? "&" : "?") + "token=" + request(person).value() + address.substring(fragment);
    }

    /** A token for the cookie. Requests at the same time wait for the same one. */
    Token kept(Person person) {
        kept.values().removeIf(token -> token.secondsLeft() < MARGIN.toSeconds());
        return kept.computeIfAbsent(person.email(), email -> request(person));
    }

    private Token request(Person person) {
        Instant now = Instant.now();
        HttpResponse<String> response;
        try {
            String body = JSON.writeValueAsString(
                Map.of("email", person.email(), "first_name", person.firstName(), "last_name", person.lastName()));
            HttpRequest request = HttpRequest.newBuilder(edgeward.resolve("/api/sso/token"))
                .timeout(TIMEOUT)
                .header("Authorization", "Token " + apiToken)
                .header("Content-Type", "application/json")
                .POST(HttpRequest.BodyPublishers.ofString(body))
                .build();
            response = client.send(request, HttpResponse.BodyHandlers.ofString());
        } catch (IOException error) {
            throw new Refused(504, "The site does not answer.", "no answer from Edgeward: " + error.getClass().getSimpleName(), null);
        } catch (InterruptedException error) {
            Thread.currentThread().interrupt();
            throw new UncheckedIOException(new IOException("interrupted"));
        }
        JsonNode answer = json(response.body());
        if (response.statusCode() == 200 && answer.path("token").isTextual() && answer.path("expires_in").asInt() > 0) {
            return new Token(answer.get("token").asText(), now.plusSeconds(answer.get("expires_in").asInt()));
        }
        String why = answer.path("error_code").asText(answer.path("error").asText(""));
        String message = "Edgeward answered " + response.statusCode() + " " + why;
        String retryAfter = response.headers().firstValue("Retry-After").orElse(null);
        throw switch (response.statusCode()) {
            case 401 -> new Refused(502, "The site did not accept this application.", message, retryAfter);
            case 403 -> new Refused(403, "The site does not let you in.", message, retryAfter);
            case 422 -> new Refused(403, "You have no account on the site.", message, retryAfter);
            case 429 -> new Refused(503, "The site is busy. Try again in a moment.", message, retryAfter);
            default -> new Refused(502, "The site gave an unexpected answer.", message, retryAfter);
        };
    }

    private static JsonNode json(String text) {
        try {
            return JSON.readTree(text);
        } catch (IOException error) {
            return JSON.createObjectNode();
        }
    }
}
