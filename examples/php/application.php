<?php
// A PHP application on both sides of Edgeward, in one file of plain PHP (8.1 or newer, with curl and openssl). It hands
// its people over to a site (/open/…), and it is an origin that checks who comes (/me). You need one half or the other;
// they share nothing but the address of Edgeward.

declare(strict_types=1);

const SECONDS = 5;
// A kept token is renewed when it has less than this left, so that nobody arrives with an expired one.
const MARGIN_SECONDS = 60;
// The keys are fetched again when they are this old, and for an unknown kid, but not more often than KEYS_COOLDOWN:
// anybody can make up a kid.
const KEYS_TTL = 300;
const KEYS_COOLDOWN = 10;

// They stand for your own sign-in: the browser asks for a name and DEMO_PASSWORD.
const PEOPLE = [
    'ada' => ['email' => 'ada@example.com', 'first_name' => 'Ada', 'last_name' => 'Lovelace'],
    'zoe' => ['email' => 'zoe@example.com', 'first_name' => 'Zoë', 'last_name' => 'Washburne'],
];

// What the browser is told when Edgeward gives no token.
const REFUSALS = [
    401 => [502, 'The site did not accept this application.'], // the API token is wrong or revoked
    403 => [403, 'The site does not let you in.'], // the user is disabled, or not one of this API token's
    422 => [403, 'You have no account on the site.'],
    429 => [503, 'The site is busy. Try again in a moment.'],
];

$edgeward = rtrim(setting('EDGEWARD_URL'), '/');

header('Cache-Control: no-store');
header('Referrer-Policy: no-referrer');
header('X-Content-Type-Options: nosniff');

match (parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH)) {
    '/me' => showCaller(),
    '/open/link' => openSite(byLink(...)),
    '/open/cookie' => openSite(byCookie(...)),
    default => answer(404, 'There is no such page.'),
};

// --- handing a person over ---------------------------------------------------------------------

function openSite(callable $way): void
{
    global $edgeward;
    $person = signedIn();
    $page = $_GET['page'] ?? '/';
    if ($person === null) {
        header('WWW-Authenticate: Basic realm="demo"');
        answer(401, 'Sign in first.');
    } elseif (!is_string($page) || preg_match('~\A/[!-\~]*\z~', $page) !== 1) {
        answer(400, 'This is no page of the site.');
    } else {
        // What follows the fixed origin begins with "/", so it cannot change the host.
        $location = $way($person, $page);
        if ($location !== null) {
            header('Location: ' . $edgeward . $location, true, 303);
        }
    }
}

/** A link works once, so each has a new token. The rest of the address keeps every byte. */
function byLink(array $person, string $page): ?string
{
    $token = requestToken($person);
    if ($token === null) {
        return null;
    }
    $address = strtok($page, '#');
    return $address . (str_contains($address, '?') ? '&' : '?') . "token={$token['value']}" . substr($page, strlen($address));
}

/** Its token is kept in the person's own session, so it is asked for once in its lifetime. */
function byCookie(array $person, string $page): ?string
{
    global $edgeward;
    $secure = str_starts_with($edgeward, 'https:');
    session_start(['cookie_httponly' => true, 'cookie_samesite' => 'Lax', 'cookie_secure' => $secure, 'use_strict_mode' => true]);
    // By address: whoever signs in next in this browser gets a token of their own.
    $token = $_SESSION['sso_tokens'][$person['email']] ?? null;
    if ($token === null || $token['expires'] - time() < MARGIN_SECONDS) {
        $token = requestToken($person);
        if ($token === null) {
            return null;
        }
        $_SESSION['sso_tokens'] = [$person['email'] => $token];
    }
    // The same attributes as in the site's `sso_cookie`: Edgeward clears the cookie with them.
    setcookie(getenv('SSO_COOKIE_NAME') ?: 'ls_auth_token', $token['value'], [
        'expires' => $token['expires'],
        'path' => '/',
        'domain' => getenv('SSO_COOKIE_DOMAIN') ?: '',
        'secure' => $secure,
        'httponly' => true,
        'samesite' => 'Lax',
    ]);
    return $page;
}

/** A token for a person; without one, null, and the browser and the log have been told why. */
function requestToken(array $person): ?array
{
    $now = time();
    $headers = [];
    [$status, $body] = call('/api/sso/token', [
        CURLOPT_HTTPHEADER => ['Authorization: Token ' . setting('EDGEWARD_API_TOKEN'), 'Content-Type: application/json'],
        CURLOPT_POSTFIELDS => json_encode($person, JSON_THROW_ON_ERROR),
        CURLOPT_HEADERFUNCTION => function ($request, string $line) use (&$headers): int {
            [$name, $value] = explode(':', $line, 2) + [1 => ''];
            $headers[strtolower($name)] = trim($value);
            return strlen($line);
        },
    ]);
    $answer = json_decode($body, true);
    if ($status === 200 && is_string($answer['token'] ?? null) && is_int($answer['expires_in'] ?? null)) {
        return ['value' => $answer['token'], 'expires' => $now + $answer['expires_in']];
    }
    error_log("Edgeward answered $status " . json_encode($answer['error_code'] ?? $answer['error'] ?? null));
    if (isset($headers['retry-after'])) {
        header("Retry-After: {$headers['retry-after']}");
    }
    answer(...REFUSALS[$status] ?? [$status === 0 ? 504 : 502, 'The site does not answer.']);
    return null;
}

// --- checking who comes ------------------------------------------------------------------------

function showCaller(): void
{
    try {
        $caller = verifiedCaller($_SERVER['HTTP_X_EDGEWARD_ASSERTION'] ?? '');
    } catch (UnexpectedValueException $error) {
        error_log("assertion refused: {$error->getMessage()}");
        answer(401, 'No valid assertion.');
        return;
    } catch (RuntimeException $error) { // no reason to let anybody in, and no fault of the caller
        error_log($error->getMessage());
        answer(503, 'Try again later.');
        return;
    }
    header('Content-Type: application/json');
    echo json_encode(array_intersect_key($caller, array_flip(['sub', 'email', 'roles'])), JSON_THROW_ON_ERROR);
}

/**
 * The claims of the caller. Only ES256 is accepted, whatever the assertion says of itself.
 *
 * @throws UnexpectedValueException unless the assertion is good
 * @throws RuntimeException if the keys cannot be fetched
 */
function verifiedCaller(string $assertion): array
{
    $parts = explode('.', $assertion);
    $header = json_decode(decode($parts[0]), true);
    if (count($parts) !== 3 || !is_array($header) || isset($header['crit'])) {
        throw new UnexpectedValueException('no assertion');
    }
    if (($header['alg'] ?? null) !== 'ES256' || ($header['typ'] ?? null) !== 'assertion+jwt') {
        throw new UnexpectedValueException('of another kind');
    }
    $key = openssl_pkey_get_public(pemOf(findKey($header['kid'] ?? null)));
    $signature = derOf(decode($parts[2]));
    if ($key === false || openssl_verify("$parts[0].$parts[1]", $signature, $key, OPENSSL_ALGO_SHA256) !== 1) {
        throw new UnexpectedValueException('bad signature');
    }
    $claims = json_decode(decode($parts[1]), true);
    $wrong = match (true) {
        !is_array($claims) => 'no claims',
        ($claims['iss'] ?? null) !== (getenv('ASSERTION_ISSUER') ?: 'edgeward') => 'by another issuer',
        ($claims['aud'] ?? null) !== setting('ASSERTION_AUDIENCE') => 'for another audience',
        !is_int($claims['exp'] ?? null) || $claims['exp'] <= time() => 'expired',
        !is_int($claims['iat'] ?? null) || !is_string($claims['sub'] ?? null) => 'a claim is missing',
        default => null,
    };
    if ($wrong !== null) {
        throw new UnexpectedValueException($wrong);
    }
    return $claims;
}

/** The key of a kid, from the file in which the key set is kept between requests. */
function findKey(mixed $kid): array
{
    $file = setting('KEYS_FILE');
    clearstatcache();
    $age = is_file($file) ? time() - filemtime($file) : PHP_INT_MAX;
    $set = $age > KEYS_TTL ? fetchKeys($file) : json_decode(file_get_contents($file), true);
    $find = fn (array $set): ?array => array_values(array_filter(
        $set['keys'],
        fn (array $key): bool => ($key['kid'] ?? null) === $kid && ($key['kty'] ?? null) === 'EC' && ($key['crv'] ?? null) === 'P-256',
    ))[0] ?? null;
    $key = $find($set);
    if ($key === null && $age > KEYS_COOLDOWN && $age <= KEYS_TTL) {
        $key = $find(fetchKeys($file));
    }
    return $key ?? throw new UnexpectedValueException('unknown kid');
}

function fetchKeys(string $file): array
{
    [$status, $body] = call('/.well-known/jwks.json', []);
    $set = json_decode($body, true);
    if ($status !== 200 || !is_array($set['keys'] ?? null)) {
        throw new RuntimeException("the key set cannot be fetched: $status");
    }
    // Another request never sees half a file.
    file_put_contents("$file.new", $body, LOCK_EX);
    rename("$file.new", $file);
    return $set;
}

/** A P-256 key as PEM: the head of a SubjectPublicKeyInfo for this curve, and the point (RFC 5480 §2). */
function pemOf(array $key): string
{
    $der = hex2bin('3059301306072a8648ce3d020106082a8648ce3d03010703420004') . decode($key['x']) . decode($key['y']);
    return "-----BEGIN PUBLIC KEY-----\n" . chunk_split(base64_encode($der), 64, "\n") . "-----END PUBLIC KEY-----\n";
}

/** A signature as openssl wants it: two integers in a sequence, without leading zeros. JWS has them side by side. */
function derOf(string $signature): string
{
    if (strlen($signature) !== 64) {
        throw new UnexpectedValueException('malformed signature');
    }
    $integers = '';
    foreach (str_split($signature, 32) as $number) {
        $number = ltrim($number, "\0");
        if ($number === '' || ord($number[0]) >= 0x80) {
            $number = "\0$number";
        }
        $integers .= "\x02" . chr(strlen($number)) . $number;
    }
    return "\x30" . chr(strlen($integers)) . $integers;
}

// --- the rest ----------------------------------------------------------------------------------

/** Calls Edgeward: the status and the body; the status is 0 if there was no answer. */
function call(string $path, array $options): array
{
    global $edgeward;
    $request = curl_init($edgeward . $path);
    curl_setopt_array($request, $options + [
        CURLOPT_RETURNTRANSFER => true,
        CURLOPT_FOLLOWLOCATION => false, // the API token goes to this address and to no other
        CURLOPT_TIMEOUT => SECONDS,
    ]);
    $body = curl_exec($request);
    return is_string($body) ? [curl_getinfo($request, CURLINFO_RESPONSE_CODE), $body] : [0, ''];
}

function signedIn(): ?array
{
    [$scheme, $value] = explode(' ', $_SERVER['HTTP_AUTHORIZATION'] ?? '', 2) + [1 => ''];
    [$name, $password] = explode(':', base64_decode($value, true) ?: '', 2) + [1 => ''];
    $isRight = strtolower($scheme) === 'basic' && hash_equals(setting('DEMO_PASSWORD'), $password);
    return $isRight ? PEOPLE[$name] ?? null : null;
}

function answer(int $status, string $text): void
{
    http_response_code($status);
    header('Content-Type: text/plain; charset=utf-8');
    echo "$text\n";
}

function decode(string $base64url): string
{
    return base64_decode(strtr($base64url, '-_', '+/'), true) ?: '';
}

function setting(string $name): string
{
    $value = getenv($name);
    if (!is_string($value) || $value === '') {
        error_log("$name is not set");
        http_response_code(500);
        exit;
    }
    return $value;
}
