// An ASP.NET Core application on both sides of Edgeward. It hands its people over to a site (/open/…), and it is an origin
// that checks who comes (/me). You need one half or the other; they share nothing but the address of Edgeward.

using System.Collections.Concurrent;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;
using Microsoft.IdentityModel.JsonWebTokens;
using Microsoft.IdentityModel.Tokens;

var builder = WebApplication.CreateBuilder(args);
var app = builder.Build();

string Setting(string name, string? otherwise = null) =>
    Environment.GetEnvironmentVariable(name) is { Length: > 0 } value
        ? value
        : otherwise ?? throw new InvalidOperationException($"{name} is not set");

var edgeward = new Uri(Setting("EDGEWARD_URL"));
var password = Setting("DEMO_PASSWORD");
var cookieName = Setting("SSO_COOKIE_NAME", "ls_auth_token");
var cookieDomain = Setting("SSO_COOKIE_DOMAIN", "");

// Follows no redirect: the API token goes to this address and to no other.
var client = new HttpClient(new SocketsHttpHandler { AllowAutoRedirect = false }) { Timeout = TimeSpan.FromSeconds(5) };
var handOver = new HandOver(client, edgeward, Setting("EDGEWARD_API_TOKEN"));
var assertions = new Assertions(client, edgeward, Setting("ASSERTION_AUDIENCE"), Setting("ASSERTION_ISSUER", "edgeward"));

// It stands for your own sign-in: the browser asks for a name and DEMO_PASSWORD.
var people = new Dictionary<string, Person>
{
    ["ada"] = new("ada@example.com", "Ada", "Lovelace"),
    ["zoe"] = new("zoe@example.com", "Zoë", "Washburne"),
};

Person? SignedIn(HttpRequest request)
{
    var parts = request.Headers.Authorization.ToString().Split(' ', 2);
    var bytes = new byte[parts[^1].Length];
    if (parts.Length != 2 || !parts[0].Equals("basic", StringComparison.OrdinalIgnoreCase)) return null;
    if (!Convert.TryFromBase64String(parts[1], bytes, out var length)) return null;
    var pair = Encoding.UTF8.GetString(bytes, 0, length).Split(':', 2);
    var isRight = pair.Length == 2
        && CryptographicOperations.FixedTimeEquals(Encoding.UTF8.GetBytes(pair[1]), Encoding.UTF8.GetBytes(password));
    return isRight ? people.GetValueOrDefault(pair[0]) : null;
}

app.MapGet("/open/{way:regex(^(link|cookie)$)}", async (HttpContext context, string way, string? page) =>
{
    var response = context.Response;
    response.Headers.CacheControl = "no-store";
    response.Headers["Referrer-Policy"] = "no-referrer";
    if (SignedIn(context.Request) is not { } person)
    {
        response.Headers.WWWAuthenticate = "Basic";
        return Results.StatusCode(401);
    }
    page ??= "/";
    if (!Regex.IsMatch(page, @"\A/[!-~]*\z")) return Results.Text("This is no page of the site.", statusCode: 400);
    // What follows the fixed origin begins with "/", so it cannot change the host.
    var address = edgeward.GetLeftPart(UriPartial.Authority) + page;
    try
    {
        if (way == "link")
        {
            address = await handOver.Link(address, person);
        }
        else
        {
            var token = await handOver.Kept(person);
            // The same attributes as in the site's `sso_cookie`: Edgeward clears the cookie with them.
            response.Cookies.Append(cookieName, token.Value, new CookieOptions
            {
                MaxAge = TimeSpan.FromSeconds(Math.Floor((token.Expires - DateTimeOffset.UtcNow).TotalSeconds)),
                Domain = cookieDomain.Length > 0 ? cookieDomain : null,
                Path = "/",
                Secure = edgeward.Scheme == "https",
                HttpOnly = true,
                SameSite = SameSiteMode.Lax,
            });
        }
    }
    catch (Refused refused)
    {
        app.Logger.LogError("{Message}", refused.Message);
        if (refused.RetryAfter is { } seconds) response.Headers.RetryAfter = seconds;
        return Results.Text(refused.Text, statusCode: refused.Status);
    }
    response.Headers.Location = address;
    return Results.StatusCode(303);
});

app.MapGet("/me", async (HttpContext context) =>
{
    try
    {
        if (await assertions.CallerOf(context.Request.Headers["X-Edgeward-Assertion"].ToString()) is { } caller)
        {
            var roles = caller.Claims.Where(claim => claim.Type == "roles").Select(claim => claim.Value);
            return Results.Json(new { sub = caller.Subject, email = caller.GetClaim("email").Value, roles });
        }
        app.Logger.LogWarning("assertion refused");
        return Results.Json(new { error = "no valid assertion" }, statusCode: 401);
    }
    catch (Exception error) when (error is HttpRequestException or TaskCanceledException)
    {
        // No reason to let anybody in, and no fault of the caller.
        app.Logger.LogError("the key set cannot be fetched: {Error}", error.GetType().Name);
        return Results.Json(new { error = "try again later" }, statusCode: 503);
    }
});

app.Run($"http://127.0.0.1:{Setting("PORT", "3009")}");

record Person(string Email, string FirstName, string LastName);

record SsoToken(string Value, DateTimeOffset Expires)
{
    public override string ToString() => $"SsoToken {{ Expires = {Expires} }}"; // so that no log shows the value
}

/// <summary>What the browser is told. The message is for the log, and has no secret.</summary>
class Refused(int status, string text, string message, string? retryAfter = null) : Exception(message)
{
    public int Status => status;
    public string Text => text;
    public string? RetryAfter => retryAfter;
}

/// <summary>Asks Edgeward for SSO tokens.</summary>
class HandOver(HttpClient client, Uri edgeward, string apiToken)
{
    /// <summary>A kept token is renewed when it has less than this left, so that nobody arrives with an expired one.</summary>
    static readonly TimeSpan Margin = TimeSpan.FromMinutes(1);

    /// <summary>The tokens for the cookie, by person: each one is asked for once in its lifetime.</summary>
    readonly Dictionary<string, SsoToken> kept = [];
    readonly ConcurrentDictionary<string, SemaphoreSlim> turns = new();

    /// <summary>An address with a token. A link works once, so each has a new token; the rest keeps every byte.</summary>
    public async Task<string> Link(string address, Person person)
    {
        var fragment = address.IndexOf('#') is >= 0 and var index ? index : address.Length;
        var before = address[..fragment];
        var token = await Request(person);
        return $"{before}{(before.Contains('?') ? '&' : '?')}token={token.Value}{address[fragment..]}";
    }

    /// <summary>A token for the cookie. Requests at the same time wait for the same one.</summary>
    public async Task<SsoToken> Kept(Person person)
    {
        var turn = turns.GetOrAdd(person.Email, _ => new SemaphoreSlim(1, 1));
        await turn.WaitAsync();
        try
        {
            lock (kept)
            {
                if (kept.TryGetValue(person.Email, out var known) && known.Expires - DateTimeOffset.UtcNow > Margin) return known;
            }
            var token = await Request(person);
            lock (kept) kept[person.Email] = token;
            return token;
        }
        finally
        {
            turn.Release();
        }
    }

    async Task<SsoToken> Request(Person person)
    {
        var now = DateTimeOffset.UtcNow;
        using var request = new HttpRequestMessage(HttpMethod.Post, new Uri(edgeward, "/api/sso/token"));
        request.Headers.TryAddWithoutValidation("Authorization", $"Token {apiToken}");
        request.Content = JsonContent.Create(new { email = person.Email, first_name = person.FirstName, last_name = person.LastName });
        HttpResponseMessage response;
        string body;
        try
        {
            response = await client.SendAsync(request);
            body = await response.Content.ReadAsStringAsync();
        }
        catch (Exception error) when (error is HttpRequestException or TaskCanceledException)
        {
            throw new Refused(504, "The site does not answer.", $"no answer from Edgeward: {error.GetType().Name}");
        }
        using (response)
        {
            var status = (int)response.StatusCode;
            var answer = Answer.Parse(body);
            if (status == 200 && answer is { token: { } value, expires_in: > 0 }) return new(value, now.AddSeconds(answer.expires_in));
            var message = $"Edgeward answered {status} {answer?.error_code ?? answer?.error}";
            var retryAfter = response.Headers.RetryAfter?.ToString();
            throw status switch
            {
                401 => new Refused(502, "The site did not accept this application.", message, retryAfter),
                403 => new Refused(403, "The site does not let you in.", message, retryAfter),
                422 => new Refused(403, "You have no account on the site.", message, retryAfter),
                429 => new Refused(503, "The site is busy. Try again in a moment.", message, retryAfter),
                _ => new Refused(502, "The site gave an unexpected answer.", message, retryAfter),
            };
        }
    }

    record Answer(string? token, int expires_in, string? error, string? error_code)
    {
        public static Answer? Parse(string body)
        {
            try
            {
                return JsonSerializer.Deserialize<Answer>(body);
            }
            catch (JsonException)
            {
                return null;
            }
        }
    }
}

/// <summary>Verifies assertions. The keys are kept, and fetched again when they are old or a kid is unknown.</summary>
class Assertions(HttpClient client, Uri edgeward, string audience, string issuer)
{
    static readonly TimeSpan Ttl = TimeSpan.FromMinutes(5);
    /// <summary>Anybody can make up a kid, so an unknown one does not fetch the keys more often than this.</summary>
    static readonly TimeSpan Cooldown = TimeSpan.FromSeconds(10);
    static readonly JsonWebTokenHandler Handler = new() { MapInboundClaims = false };

    readonly SemaphoreSlim turn = new(1, 1);
    JsonWebKeySet? keys;
    DateTimeOffset fetched;

    /// <summary>The verified claims of the caller; null unless the assertion is good.</summary>
    public async Task<JsonWebToken?> CallerOf(string assertion)
    {
        if (!Handler.CanReadToken(assertion)) return null;
        var kid = Handler.ReadJsonWebToken(assertion).Kid;
        var result = await Handler.ValidateTokenAsync(assertion, new TokenValidationParameters
        {
            ValidAlgorithms = [SecurityAlgorithms.EcdsaSha256],
            ValidTypes = ["assertion+jwt"],
            ValidIssuer = issuer,
            ValidAudience = audience,
            RequireExpirationTime = true,
            ClockSkew = TimeSpan.Zero,
            IssuerSigningKeys = await KeysFor(kid),
            TryAllIssuerSigningKeys = false,
        });
        return result is { IsValid: true, SecurityToken: JsonWebToken { Subject.Length: > 0 } caller } ? caller : null;
    }

    async Task<IList<SecurityKey>> KeysFor(string kid)
    {
        await turn.WaitAsync();
        try
        {
            var age = DateTimeOffset.UtcNow - fetched;
            var isKnown = keys?.Keys.Any(key => key.Kid == kid) ?? false;
            if (age > Ttl || (!isKnown && age > Cooldown))
            {
                keys = new JsonWebKeySet(await client.GetStringAsync(new Uri(edgeward, "/.well-known/jwks.json")));
                fetched = DateTimeOffset.UtcNow;
            }
            return keys!.GetSigningKeys();
        }
        finally
        {
            turn.Release();
        }
    }
}
