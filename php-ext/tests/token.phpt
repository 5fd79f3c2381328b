--TEST--
Gateway::token() makes a token that names its claims, or says what is wrong
--EXTENSIONS--
gateway
--FILE--
<?php
function claims(string $token): array
{
    [$header, $payload, $signature] = explode('.', $token);
    $signed = hash_hmac('sha256', "$header.$payload", $GLOBALS['key'], true);
    var_dump(rtrim(strtr(base64_encode($signed), '+/', '-_'), '=') === $signature);
    var_dump(base64_decode(strtr($header, '-_', '+/')));
    $claims = json_decode(base64_decode(strtr($payload, '-_', '+/')), true);
    $claims['exp'] = abs($claims['exp'] - time() - $GLOBALS['ttl']) <= 2;
    return $claims;
}

function complains(callable $token): void
{
    try {
        var_dump($token());
    } catch (Throwable $thrown) {
        echo get_class($thrown), ': ', $thrown->getMessage(), "\n";
    }
}

complains(fn () => Gateway::token(1));

// The key is made of the secret, as the page on identity says.
$ttl = 3600;
Gateway::$secretKey = 'fifteen bytes..';
complains(fn () => Gateway::token(42));
Gateway::$secretKey = 'sixteen bytes...';
$key = hash_hmac('sha256', 'gateway connect token v1', 'sixteen bytes...', true);
echo json_encode(claims(Gateway::token(42))), "\n";

Gateway::$tokenKey = $key = 'a key';
$ttl = 5;
echo json_encode(claims(Gateway::token('ann', 5, ['a', 7], ['x' => ['y' => [1, null, 2.5]], 3 => false]))), "\n";
$claims = claims(Gateway::token('ann', ttl: 5, once: true));
var_dump(strlen($claims['jti']), $claims['jti'] !== claims(Gateway::token('ann', 5, once: true))['jti']);
echo json_encode(claims(Gateway::token('ann', 5, device: "Ann's phone"))), "\n";

$loop = [];
$loop['self'] = &$loop;
complains(fn () => Gateway::token('ann', 0));
complains(fn () => Gateway::token('ann', 'soon'));
complains(fn () => Gateway::token("\xff"));
complains(fn () => Gateway::token('ann', 5, [], ['o' => new stdClass]));
complains(fn () => Gateway::token('ann', 5, [], $loop));
complains(fn () => Gateway::token('ann', 5, [], ['nan' => NAN]));
complains(fn () => Gateway::token('ann', 5, ['']));
complains(fn () => Gateway::token('ann', 5, [], ['x' => str_repeat('x', 9000)]));
complains(fn () => Gateway::token('ann', device: ''));
complains(fn () => Gateway::token('ann', device: str_repeat('x', 65)));
complains(fn () => Gateway::token('ann', device: "\xff"));
complains(fn () => Gateway::token(''));
ob_start();
phpinfo(INFO_MODULES);
var_dump(str_contains(ob_get_clean(), 'a key'));
?>
--EXPECTF--
PushGateway\ArgumentException: a token has to be signed: set Gateway::$tokenKey, or gateway.token_key in php.ini, to the token_key of gateway-server, or Gateway::$secretKey to its secret_key. If the key comes of getenv(): PHP-FPM hands no environment on unless its pool has clear_env = no
PushGateway\ArgumentException: no token was made: the secret has 15 bytes, and whoever has a token could find out one of fewer than 16 by trying; set Gateway::$tokenKey, or gateway.token_key in php.ini, to the token_key of gateway-server
bool(true)
string(27) "{"typ":"JWT","alg":"HS256"}"
{"sub":"42","exp":true}
bool(true)
string(27) "{"typ":"JWT","alg":"HS256"}"
{"sub":"ann","exp":true,"groups":["a","7"],"session":{"x":{"y":[1,null,2.5]},"3":false}}
bool(true)
string(27) "{"typ":"JWT","alg":"HS256"}"
bool(true)
string(27) "{"typ":"JWT","alg":"HS256"}"
int(32)
bool(true)
bool(true)
string(27) "{"typ":"JWT","alg":"HS256"}"
{"sub":"ann","exp":true,"dev":"Ann's phone"}
PushGateway\ArgumentException: a token's time must be a second or more
TypeError: PushGateway\Gateway::token(): Argument #2 ($ttl) must be of type int, string given
PushGateway\ArgumentException: no token was made: it cannot carry text that is not UTF-8
PushGateway\ArgumentException: no token was made: it cannot carry anything but arrays, strings, numbers, bools and null
PushGateway\ArgumentException: no token was made: it cannot carry arrays more than 32 deep
PushGateway\ArgumentException: no token was made: it cannot carry a number that is infinite or none
PushGateway\ArgumentException: no token was made: each of groups must have 1 to 1024 bytes
PushGateway\ArgumentException: no token was made: it has %d bytes, more than the 8192 allowed
PushGateway\ArgumentException: no token was made: dev must have 1 to 64 bytes
PushGateway\ArgumentException: no token was made: dev must have 1 to 64 bytes
PushGateway\ArgumentException: no token was made: it cannot carry text that is not UTF-8

Warning: PushGateway\Gateway::token(): the uid is empty, so no token was made; give a uid that is not '', '0', 0, null, false or [] in %s on line %d
string(0) ""
bool(false)
