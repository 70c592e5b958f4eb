<?php
// A service that people enter through the SSO gateway, in one file of plain PHP (8.0 or newer, with curl and
// pdo_sqlite). It speaks the dialect "flat". README.md says how to register and run it.

declare(strict_types=1);

const GATEWAY_SECONDS = 5;
const MAX_EVENT_BYTES = 65536;
// Sign-ins that a browser may have begun at the same time, in several tabs.
const MAX_PENDING = 5;

$gateway = rtrim(setting('SSO_GATEWAY'), '/');
$token = setting('SSO_TOKEN');
$baseUrl = rtrim(setting('BASE_URL'), '/');
$database = openDatabase(setting('DATABASE'));

header('Cache-Control: no-store');
header("Content-Security-Policy: default-src 'none'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'");
header('Referrer-Policy: no-referrer');
header('X-Content-Type-Options: nosniff');

$path = parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH);
match (true) {
    $path === '/sso/event/' => acceptEvent(),
    $path === '/sso/accept/' => acceptSignIn(),
    $path === '/login' => beginSignIn(),
    $path === '/logout' => signOut(),
    $path === '/' => showHome(),
    is_string($path) && preg_match('~^/reports/(\d+)$~', $path, $found) === 1 => showReport($found[1]),
    default => showMessage(404, 'Not found', 'There is no such page.'),
};

// --- sign-in -----------------------------------------------------------------------------------

function beginSignIn(): void
{
    global $gateway;
    startSession();
    $next = localPath($_GET['next'] ?? '/');
    if (currentAccount() !== null) {
        redirect($next);
        return;
    }
    // Because of `bind` the browser brings a code back. Otherwise whoever begins a sign-in, and makes somebody else finish
    // it, could take it over.
    $answer = callGateway('obtain', ['next_url' => $next, 'bind' => 'code']);
    $signIn = $answer['token'] ?? null;
    if (!is_string($signIn) || $signIn === '') {
        gatewayFailed('obtain', $answer);
        return;
    }
    // Only the browser that begins a sign-in can finish it: nobody can be signed in as somebody else by a link.
    $_SESSION['pending'] = array_slice([$signIn, ...($_SESSION['pending'] ?? [])], 0, MAX_PENDING);
    redirect($gateway . '/login/?' . http_build_query(['sso' => $signIn]));
}

function acceptSignIn(): void
{
    startSession();
    $code = textOf($_GET['code'] ?? '');
    // The browser does not say which of its sign-ins the code is for.
    foreach ($_SESSION['pending'] ?? [] as $token) {
        $signIn = ['authentication_token' => $token, 'code' => $code];
        $answer = callGateway('get', $signIn);
        if (($answer['authenticated'] ?? null) === true) {
            finishSignIn($signIn, $answer);
            return;
        }
    }
    showMessage(403, 'That did not work', 'This sign-in was not finished, or it is too old.');
}

function finishSignIn(array $signIn, array $answer): void
{
    // The gateway has told us about the account before it sent the browser here.
    $account = findAccount($answer['user_identy'] ?? '');
    if ($account === null || !$account['is_active']) {
        showMessage(403, 'That did not work', 'There is no active account for you here.');
        return;
    }
    // It succeeds once; who is second must not be signed in.
    $used = callGateway('make_used', $signIn);
    if (($used['ok'] ?? null) !== true) {
        gatewayFailed('make_used', $used);
        return;
    }
    // What the browser had before it signed in is worth nothing afterwards, but for what other tabs have begun: that ends
    // only with a code that the gateway gave this browser.
    $others = array_values(array_diff($_SESSION['pending'] ?? [], [$signIn['authentication_token']]));
    session_regenerate_id(true);
    $_SESSION = ['pending' => $others, 'username' => $account['username'], 'epoch' => $account['epoch'], 'csrf' => bin2hex(random_bytes(32))];
    redirect(localPath($answer['next_url'] ?? '/'));
}

// --- sign-out ----------------------------------------------------------------------------------

function signOut(): void
{
    startSession();
    $account = currentAccount();
    if ($_SERVER['REQUEST_METHOD'] !== 'POST') {
        header('Allow: POST');
        showMessage(405, 'Not done', 'Use the button to sign out.');
        return;
    }
    if ($account !== null && !hash_equals($_SESSION['csrf'], textOf($_POST['csrf'] ?? ''))) {
        showMessage(403, 'Not done', 'This form is too old, or was sent from another site.');
        return;
    }
    $_SESSION = [];
    session_destroy();
    if ($account !== null) {
        // Here the session has ended already, whatever the gateway answers.
        $answer = callGateway('deauthenticate', ['user_identy' => $account['username']]);
        if (($answer['ok'] ?? null) !== true) {
            gatewayFailed('deauthenticate', $answer);
            return;
        }
    }
    redirect('/');
}

// --- what the gateway calls --------------------------------------------------------------------

function acceptEvent(): void
{
    global $token;
    if ($_SERVER['REQUEST_METHOD'] !== 'POST') {
        header('Allow: POST');
        http_response_code(405);
        return;
    }
    $body = file_get_contents('php://input', length: MAX_EVENT_BYTES + 1);
    $event = strlen($body) > MAX_EVENT_BYTES ? null : json_decode($body);
    if (!is_object($event)) {
        http_response_code(400);
        return;
    }
    $event = (array) $event;
    // In constant time: how long a comparison takes must not tell how much of a guess is right.
    if (!hash_equals($token, textOf($event['token'] ?? ''))) {
        answerJson(['error' => 'Token not provided or incorrect']);
        return;
    }
    $username = textOf($event['username'] ?? '');
    if ($username === '') {
        answerJson(['error' => 'username is missing']);
        return;
    }
    // Each event says what holds from now on, so one that is delivered twice does no harm.
    $known = match ($event['type'] ?? null) {
        'update_account' => updateAccount($username, $event),
        'deauthenticate' => endSessions($username),
        default => false,
    };
    answerJson($known ? ['ok' => true] : ['error' => 'Event type not supported']);
}

// --- accounts ----------------------------------------------------------------------------------

function openDatabase(string $file): PDO
{
    $database = new PDO('sqlite:' . $file);
    $database->setAttribute(PDO::ATTR_ERRMODE, PDO::ERRMODE_EXCEPTION);
    $database->exec('CREATE TABLE IF NOT EXISTS account (
        username TEXT PRIMARY KEY,
        is_active INTEGER NOT NULL DEFAULT 1,
        is_staff INTEGER NOT NULL DEFAULT 0,
        is_superuser INTEGER NOT NULL DEFAULT 0,
        epoch INTEGER NOT NULL DEFAULT 0)');
    return $database;
}

function findAccount(mixed $username): ?array
{
    global $database;
    $statement = $database->prepare('SELECT * FROM account WHERE username = ?');
    $statement->execute([textOf($username)]);
    return $statement->fetch(PDO::FETCH_ASSOC) ?: null;
}

function updateAccount(string $username, array $event): bool
{
    global $database;
    $database->prepare('INSERT INTO account (username) VALUES (?) ON CONFLICT DO NOTHING')->execute([$username]);
    foreach (['is_active', 'is_staff', 'is_superuser'] as $flag) {
        if (is_bool($event[$flag] ?? null)) {
            $statement = $database->prepare("UPDATE account SET $flag = ? WHERE username = ?");
            $statement->execute([(int) $event[$flag], $username]);
        }
    }
    return ($event['is_active'] ?? true) !== false || endSessions($username);
}

/** A session remembers the account's epoch and ends when it changes. */
function endSessions(string $username): bool
{
    global $database;
    return $database->prepare('UPDATE account SET epoch = epoch + 1 WHERE username = ?')->execute([$username]);
}

// --- sessions ----------------------------------------------------------------------------------

function startSession(): void
{
    global $baseUrl;
    session_name('service_session');
    session_start([
        'use_strict_mode' => true, // an id that a visitor made up is not taken
        'use_only_cookies' => true,
        'cookie_httponly' => true,
        'cookie_samesite' => 'Lax',
        'cookie_secure' => str_starts_with($baseUrl, 'https:'),
    ]);
}

function currentAccount(): ?array
{
    $account = isset($_SESSION['username']) ? findAccount($_SESSION['username']) : null;
    return $account !== null && $account['is_active'] && $account['epoch'] === $_SESSION['epoch'] ? $account : null;
}

// --- the gateway -------------------------------------------------------------------------------

/** One of its four calls. Errors are told with status 200 too; a failure to get an answer is an error as well. */
function callGateway(string $name, array $fields): array
{
    global $gateway, $token;
    $request = curl_init("$gateway/sso/$name/");
    curl_setopt_array($request, [
        CURLOPT_POSTFIELDS => http_build_query(['token' => $token] + $fields),
        CURLOPT_RETURNTRANSFER => true,
        CURLOPT_FOLLOWLOCATION => false, // the token goes to this address and to no other
        CURLOPT_TIMEOUT => GATEWAY_SECONDS,
    ]);
    $body = curl_exec($request);
    $answer = is_string($body) ? json_decode($body, true) : null;
    return is_array($answer) ? $answer : ['error' => curl_error($request) ?: 'not a JSON object'];
}

function gatewayFailed(string $call, array $answer): void
{
    error_log("$call: " . json_encode($answer['error'] ?? 'not confirmed'));
    showMessage(502, 'That did not work', 'The sign-in service does not answer. Try again in a moment.');
}

/** The path and query that a value names on this service; "/" for anything that would lead a browser elsewhere. */
function localPath(mixed $value): string
{
    // Printable ASCII is all that an address has; the rest is written with "%". Browsers take "\" for "/", and drop tabs
    // and line ends. A double slash at the beginning is a host, also after "/." and "/..".
    return is_string($value) && preg_match('~^(?![^?#]*//)/[\x21-\x5b\x5d-\x7e]*$~D', $value) === 1 ? $value : '/';
}

// --- pages -------------------------------------------------------------------------------------

function showHome(): void
{
    startSession();
    $account = currentAccount();
    if ($account === null) {
        showPage('PHP service', '<p>You are not signed in.</p><p><a href="/login">Sign in</a></p>');
        return;
    }
    $flags = ($account['is_staff'] ? ' (staff)' : '') . ($account['is_superuser'] ? ' (superuser)' : '');
    $name = escape($account['username']);
    showPage('PHP service', "<p>Signed in as <b>$name</b>$flags.</p><p><a href=\"/reports/7\">Report 7</a></p>" . logoutForm());
}

function showReport(string $report): void
{
    startSession();
    $account = currentAccount();
    if ($account === null) {
        redirect('/login?' . http_build_query(['next' => $_SERVER['REQUEST_URI']]));
        return;
    }
    showPage("Report $report", '<p>For <b>' . escape($account['username']) . '</b>.</p>' . logoutForm());
}

function showMessage(int $status, string $title, string $text): void
{
    http_response_code($status);
    showPage($title, '<p>' . escape($text) . '</p><p><a href="/">Start page</a></p>');
}

function logoutForm(): string
{
    $csrf = escape($_SESSION['csrf']);
    return "<form method=\"post\" action=\"/logout\"><input type=\"hidden\" name=\"csrf\" value=\"$csrf\"><button>Sign out everywhere</button></form>";
}

function showPage(string $title, string $content): void
{
    $title = escape($title);
    header('Content-Type: text/html; charset=utf-8');
    echo "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n",
        "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>$title</title>\n</head>\n",
        "<body>\n<main>\n<h1>$title</h1>\n$content\n</main>\n</body>\n</html>\n";
}

// --- small things ------------------------------------------------------------------------------

function redirect(string $address): void
{
    header("Location: $address", true, 303);
}

function answerJson(array $answer): void
{
    header('Content-Type: application/json');
    echo json_encode($answer);
}

function escape(string $text): string
{
    return htmlspecialchars($text, ENT_QUOTES | ENT_SUBSTITUTE, 'UTF-8');
}

function textOf(mixed $value): string
{
    return is_string($value) ? $value : '';
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
