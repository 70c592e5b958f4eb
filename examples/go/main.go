// A Go application on both sides of Edgeward, with nothing but the standard library. It hands its people over to a site
// (/open/…), and it is an origin that checks who comes (/me). You need one half or the other; they share nothing but the
// address of Edgeward.
package main

import (
	"bytes"
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"sync"
	"time"
)

var (
	edgeward     = mustParse(setting("EDGEWARD_URL", ""))
	apiToken     = setting("EDGEWARD_API_TOKEN", "")
	audience     = setting("ASSERTION_AUDIENCE", "")
	issuer       = setting("ASSERTION_ISSUER", "edgeward")
	password     = setting("DEMO_PASSWORD", "")
	cookieName   = setting("SSO_COOKIE_NAME", "ls_auth_token")
	cookieDomain = os.Getenv("SSO_COOKIE_DOMAIN")
)

type person struct {
	Email     string `json:"email"`
	FirstName string `json:"first_name"`
	LastName  string `json:"last_name"`
}

// It stands for your own sign-in: the browser asks for a name and DEMO_PASSWORD.
var people = map[string]person{
	"ada": {"ada@example.com", "Ada", "Lovelace"},
	"zoe": {"zoe@example.com", "Zoë", "Washburne"},
}

// --- handing a person over --------------------------------------------------------------------

// A kept token is renewed when it has less than this left, so that nobody arrives with an expired one.
const margin = time.Minute

var client = &http.Client{
	Timeout: 5 * time.Second,
	// The API token goes to this address and to no other.
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// refusal says what the browser is told. The log has been told why.
type refusal struct {
	status     int
	text       string
	retryAfter string
}

func (r *refusal) Error() string { return r.text }

var refusals = map[int]refusal{
	401: {status: 502, text: "The site did not accept this application."}, // the API token is wrong or revoked
	403: {status: 403, text: "The site does not let you in."},             // disabled, or not one of this API token's
	422: {status: 403, text: "You have no account on the site."},
	429: {status: 503, text: "The site is busy. Try again in a moment."},
}

type ssoToken struct {
	value   string
	expires time.Time
}

func requestToken(ctx context.Context, who person) (ssoToken, error) {
	now := time.Now()
	body, err := json.Marshal(who)
	if err != nil {
		return ssoToken{}, err
	}
	address := edgeward.ResolveReference(&url.URL{Path: "/api/sso/token"}).String()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return ssoToken{}, err
	}
	request.Header.Set("Authorization", "Token "+apiToken)
	request.Header.Set("Content-Type", "application/json")
	response, err := client.Do(request)
	if err != nil {
		log.Printf("no answer from Edgeward: %v", err) // the method and the address, and no header
		return ssoToken{}, &refusal{status: 504, text: "The site does not answer."}
	}
	defer response.Body.Close()
	var answer struct {
		Token     string `json:"token"`
		ExpiresIn int    `json:"expires_in"`
		Error     string `json:"error"`
		ErrorCode string `json:"error_code"`
	}
	err = json.NewDecoder(io.LimitReader(response.Body, 1<<16)).Decode(&answer)
	if err == nil && response.StatusCode == http.StatusOK && answer.Token != "" && answer.ExpiresIn > 0 {
		return ssoToken{answer.Token, now.Add(time.Duration(answer.ExpiresIn) * time.Second)}, nil
	}
	log.Printf("Edgeward answered %d %s %s", response.StatusCode, answer.ErrorCode, answer.Error)
	told, known := refusals[response.StatusCode]
	if !known {
		told = refusal{status: 502, text: "The site gave an unexpected answer."}
	}
	told.retryAfter = response.Header.Get("Retry-After")
	return ssoToken{}, &told
}

// keptTokens has the tokens for the cookie, by person: each one is asked for once in its lifetime.
type keptTokens struct {
	mutex sync.Mutex
	byWho map[string]*kept
}

type kept struct {
	mutex sync.Mutex
	token ssoToken
}

func (k *keptTokens) of(who person) (ssoToken, error) {
	k.mutex.Lock()
	entry := k.byWho[who.Email]
	if entry == nil {
		entry = &kept{}
		k.byWho[who.Email] = entry
	}
	k.mutex.Unlock()
	entry.mutex.Lock() // requests at the same time wait for the same token
	defer entry.mutex.Unlock()
	if time.Until(entry.token.expires) < margin {
		// Not the context of this request: if its client goes away, others still wait for the token.
		token, err := requestToken(context.Background(), who)
		if err != nil {
			return ssoToken{}, err
		}
		entry.token = token
	}
	return entry.token, nil
}

var tokens = keptTokens{byWho: map[string]*kept{}}

var pageForm = regexp.MustCompile(`^/[!-~]*$`)

func open(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Referrer-Policy", "no-referrer")
	who, isSignedIn := signedIn(r)
	if !isSignedIn {
		w.Header().Set("WWW-Authenticate", "Basic")
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	page := r.URL.Query().Get("page")
	if page == "" {
		page = "/"
	}
	// What follows the fixed origin begins with "/", so it cannot change the host.
	if !pageForm.MatchString(page) {
		http.Error(w, "This is no page of the site.", http.StatusBadRequest)
		return
	}
	location := edgeward.Scheme + "://" + edgeward.Host + page
	var err error
	if r.PathValue("way") == "link" {
		location, err = linkTo(r.Context(), location, who)
	} else {
		err = setCookie(w, who)
	}
	var told *refusal
	if errors.As(err, &told) {
		if told.retryAfter != "" {
			w.Header().Set("Retry-After", told.retryAfter)
		}
		http.Error(w, told.text, told.status)
		return
	}
	if err != nil {
		log.Print(err)
		http.Error(w, "Something went wrong.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Location", location)
	w.WriteHeader(http.StatusSeeOther) // http.Redirect would write the address, token and all, into the body as well
}

// linkTo adds a token to an address. A link works once, so each has a new token; the rest keeps every byte.
func linkTo(ctx context.Context, location string, who person) (string, error) {
	token, err := requestToken(ctx, who)
	if err != nil {
		return "", err
	}
	address, fragment, hasFragment := strings.Cut(location, "#")
	separator := "?"
	if strings.Contains(address, "?") {
		separator = "&"
	}
	address += separator + "token=" + token.value
	if hasFragment {
		address += "#" + fragment
	}
	return address, nil
}

// setCookie sets a token with the same attributes as in the site's sso_cookie: Edgeward clears the cookie with them.
func setCookie(w http.ResponseWriter, who person) error {
	token, err := tokens.of(who)
	if err != nil {
		return err
	}
	http.SetCookie(w, &http.Cookie{
		Name:     cookieName,
		Value:    token.value,
		MaxAge:   int(time.Until(token.expires).Seconds()),
		Domain:   cookieDomain,
		Path:     "/",
		Secure:   edgeward.Scheme == "https",
		HttpOnly: true,
		SameSite: http.SameSiteLaxMode,
	})
	return nil
}

// --- the routes -------------------------------------------------------------------------------

// me shows the caller whom assertion.go has verified.
func me(w http.ResponseWriter, r *http.Request) {
	caller, err := keys.verify(r.Context(), r.Header.Get("X-Edgeward-Assertion"), time.Now())
	w.Header().Set("Content-Type", "application/json")
	switch {
	case errors.Is(err, errNoKeys): // no reason to let anybody in, and no fault of the caller
		log.Print(err)
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprintln(w, `{"error": "try again later"}`)
	case err != nil:
		log.Printf("assertion refused: %v", err)
		w.WriteHeader(http.StatusUnauthorized)
		fmt.Fprintln(w, `{"error": "no valid assertion"}`)
	default:
		json.NewEncoder(w).Encode(map[string]any{"sub": caller.Subject, "email": caller.Email, "roles": caller.Roles})
	}
}

func signedIn(r *http.Request) (person, bool) {
	name, given, _ := r.BasicAuth()
	who, isKnown := people[name]
	return who, isKnown && subtle.ConstantTimeCompare([]byte(given), []byte(password)) == 1
}

func main() {
	http.HandleFunc("GET /open/{way}", func(w http.ResponseWriter, r *http.Request) {
		if way := r.PathValue("way"); way != "link" && way != "cookie" {
			http.NotFound(w, r)
			return
		}
		open(w, r)
	})
	http.HandleFunc("GET /me", me)
	server := &http.Server{Addr: "127.0.0.1:" + setting("PORT", "3007"), ReadHeaderTimeout: 10 * time.Second}
	log.Printf("listening on http://%s", server.Addr)
	log.Fatal(server.ListenAndServe())
}

func setting(name, otherwise string) string {
	value := os.Getenv(name)
	if value == "" {
		value = otherwise
	}
	if value == "" {
		log.Fatalf("%s is not set", name)
	}
	return value
}

func mustParse(text string) *url.URL {
	parsed, err := url.Parse(text)
	if err != nil || parsed.Host == "" {
		log.Fatalf("%q is no URL", text)
	}
	return parsed
}
