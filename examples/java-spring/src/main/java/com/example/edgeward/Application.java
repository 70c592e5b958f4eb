package com.example.edgeward;

import com.nimbusds.jose.JOSEObjectType;
import com.nimbusds.jose.proc.DefaultJOSEObjectTypeVerifier;
import java.net.URI;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.springframework.beans.factory.annotation.Value;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.context.annotation.Bean;
import org.springframework.core.annotation.Order;
import org.springframework.http.HttpHeaders;
import org.springframework.http.HttpStatus;
import org.springframework.http.ResponseCookie;
import org.springframework.http.ResponseEntity;
import org.springframework.http.client.SimpleClientHttpRequestFactory;
import org.springframework.security.config.Customizer;
import org.springframework.security.config.annotation.web.builders.HttpSecurity;
import org.springframework.security.config.http.SessionCreationPolicy;
import org.springframework.security.core.annotation.AuthenticationPrincipal;
import org.springframework.security.core.userdetails.User;
import org.springframework.security.core.userdetails.UserDetails;
import org.springframework.security.core.userdetails.UserDetailsService;
import org.springframework.security.oauth2.core.DelegatingOAuth2TokenValidator;
import org.springframework.security.oauth2.jose.jws.SignatureAlgorithm;
import org.springframework.security.oauth2.jwt.Jwt;
import org.springframework.security.oauth2.jwt.JwtClaimNames;
import org.springframework.security.oauth2.jwt.JwtClaimValidator;
import org.springframework.security.oauth2.jwt.JwtDecoder;
import org.springframework.security.oauth2.jwt.JwtIssuerValidator;
import org.springframework.security.oauth2.jwt.JwtTimestampValidator;
import org.springframework.security.oauth2.jwt.NimbusJwtDecoder;
import org.springframework.security.provisioning.InMemoryUserDetailsManager;
import org.springframework.security.web.SecurityFilterChain;
import org.springframework.web.bind.annotation.ExceptionHandler;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.RequestParam;
import org.springframework.web.bind.annotation.RestController;
import org.springframework.web.client.RestTemplate;

/**
 * A Spring application on both sides of Edgeward. It hands its people over to a site (/open/…), and it is an origin that
 * checks who comes (/me). You need one half or the other; they share nothing but the address of Edgeward.
 */
@SpringBootApplication
@RestController
public class Application {
    private static final Logger LOG = LoggerFactory.getLogger(Application.class);
    private static final Map<String, HandOver.Person> PEOPLE = Map.of(
        "ada", new HandOver.Person("ada@example.com", "Ada", "Lovelace"),
        "zoe", new HandOver.Person("zoe@example.com", "Zoë", "Washburne"));

    private final URI edgeward;
    private final HandOver handOver;

    Application(@Value("${EDGEWARD_URL}") URI edgeward, @Value("${EDGEWARD_API_TOKEN}") String apiToken) {
        this.edgeward = edgeward;
        this.handOver = new HandOver(edgeward, apiToken);
    }

    public static void main(String[] args) {
        SpringApplication.run(Application.class, args);
    }

    // --- checking who comes --------------------------------------------------------------------

    @Bean
    @Order(1)
    SecurityFilterChain origin(HttpSecurity http) throws Exception {
        return http.securityMatcher("/me")
            .authorizeHttpRequests(requests -> requests.anyRequest().authenticated())
            .oauth2ResourceServer(server -> server
                .bearerTokenResolver(request -> request.getHeader("X-Edgeward-Assertion"))
                .jwt(Customizer.withDefaults()))
            .sessionManagement(session -> session.sessionCreationPolicy(SessionCreationPolicy.STATELESS))
            .build();
    }

    /** Keys are fetched when they are needed, kept, and fetched again for an unknown kid. */
    @Bean
    JwtDecoder assertions(
        @Value("${ASSERTION_AUDIENCE}") String audience, @Value("${ASSERTION_ISSUER:edgeward}") String issuer) {
        SimpleClientHttpRequestFactory requests = new SimpleClientHttpRequestFactory();
        requests.setConnectTimeout(5000);
        requests.setReadTimeout(5000);
        NimbusJwtDecoder decoder = NimbusJwtDecoder.withJwkSetUri(edgeward.resolve("/.well-known/jwks.json").toString())
            .restOperations(new RestTemplate(requests))
            .jwsAlgorithm(SignatureAlgorithm.ES256)
            // By default the decoder refuses any type but JWT.
            .jwtProcessorCustomizer(processor -> processor.setJWSTypeVerifier(
                new DefaultJOSEObjectTypeVerifier<>(new JOSEObjectType("assertion+jwt"))))
            .build();
        decoder.setJwtValidator(new DelegatingOAuth2TokenValidator<>(List.of(
            new JwtTimestampValidator(Duration.ZERO),
            // The validator above lets a token pass that has no end.
            new JwtClaimValidator<Instant>(JwtClaimNames.EXP, Objects::nonNull),
            new JwtClaimValidator<String>(JwtClaimNames.SUB, Objects::nonNull),
            new JwtIssuerValidator(issuer),
            new JwtClaimValidator<List<String>>(JwtClaimNames.AUD, named -> named != null && named.contains(audience)))));
        return decoder;
    }

    @GetMapping("/me")
    Map<String, Object> me(@AuthenticationPrincipal Jwt caller) {
        return Map.of("sub", caller.getSubject(), "email", caller.getClaim("email"), "roles", caller.getClaim("roles"));
    }

    // --- handing a person over -----------------------------------------------------------------

    /** It stands for your own sign-in: the browser asks for a name and DEMO_PASSWORD. */
    @Bean
    @Order(2)
    SecurityFilterChain portal(HttpSecurity http) throws Exception {
        return http.authorizeHttpRequests(requests -> requests.anyRequest().authenticated())
            .httpBasic(Customizer.withDefaults())
            .headers(headers -> headers.referrerPolicy(Customizer.withDefaults())) // no-referrer
            .build();
    }

    @Bean
    UserDetailsService people(@Value("${DEMO_PASSWORD}") String password) {
        return new InMemoryUserDetailsManager(PEOPLE.keySet().stream()
            .map(name -> User.withUsername(name).password("{noop}" + password).build())
            .toArray(UserDetails[]::new));
    }

    @GetMapping("/open/link")
    ResponseEntity<?> openByLink(@AuthenticationPrincipal UserDetails user, @RequestParam(defaultValue = "/") String page) {
        String address = handOver.addressOf(page);
        if (address == null) {
            return ResponseEntity.badRequest().body("This is no page of the site.");
        }
        return redirect(handOver.link(address, PEOPLE.get(user.getUsername()))).build();
    }

    @GetMapping("/open/cookie")
    ResponseEntity<?> openByCookie(
        @AuthenticationPrincipal UserDetails user,
        @RequestParam(defaultValue = "/") String page,
        @Value("${SSO_COOKIE_NAME:ls_auth_token}") String name,
        @Value("${SSO_COOKIE_DOMAIN:#{null}}") String domain) {
        String address = handOver.addressOf(page);
        if (address == null) {
            return ResponseEntity.badRequest().body("This is no page of the site.");
        }
        HandOver.Token token = handOver.kept(PEOPLE.get(user.getUsername()));
        // The same attributes as in the site's `sso_cookie`: Edgeward clears the cookie with them.
        ResponseCookie cookie = ResponseCookie.from(name, token.value())
            .maxAge(token.secondsLeft())
            .domain(domain)
            .path("/")
            .secure("https".equals(edgeward.getScheme()))
            .httpOnly(true)
            .sameSite("Lax")
            .build();
        return redirect(address).header(HttpHeaders.SET_COOKIE, cookie.toString()).build();
    }

    /** Spring Security adds `Cache-Control: no-store`. */
    private static ResponseEntity.BodyBuilder redirect(String address) {
        return ResponseEntity.status(HttpStatus.SEE_OTHER).header(HttpHeaders.LOCATION, address);
    }

    @ExceptionHandler
    ResponseEntity<String> refused(HandOver.Refused refused) {
        LOG.error(refused.getMessage());
        ResponseEntity.BodyBuilder answer = ResponseEntity.status(refused.status);
        if (refused.retryAfter != null) {
            answer.header(HttpHeaders.RETRY_AFTER, refused.retryAfter);
        }
        return answer.body(refused.text);
    }
}
