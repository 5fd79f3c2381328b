--TEST--
opcache, its file cache, preloading and the JIT change nothing
--EXTENSIONS--
gateway
--SKIPIF--
<?php
require "gateway.inc";
GatewayTest\skip_without_server();
exec(escapeshellarg(PHP_BINARY) . ' -n -d zend_extension=opcache -r "exit(extension_loaded(\'Zend OPcache\') ? 0 : 1);" 2>&1', $_, $status);
if ($status !== 0) die('skip there is no opcache for this PHP');
?>
--FILE--
<?php
require 'gateway.inc';

$server = new GatewayTest\Server;
$client = $server->connect();
Gateway::$registerAddress = $server->register;
$directory = sys_get_temp_dir() . '/gateway-opcache-' . getmypid();
mkdir($directory);
mkdir("$directory/cache");

// The script has code that opcache keeps, and hot code for the JIT: calls in loops and functions, by name and by variable, with
// arguments of changing types, through a subclass, and with exceptions.
file_put_contents("$directory/push.php", '<?php
class Push extends Gateway
{
    const GROUP = "group";

    public static function number(int|string $number): void
    {
        static::sendToUid("u", "message $number");
    }

    public static function sendToGroup($group, $message, $exclude_client_id = null, $raw = false)
    {
        return parent::sendToGroup($group, $message, $exclude_client_id, $raw);
    }
}
');
file_put_contents("$directory/main.php", '<?php
$preloaded = class_exists("Push", false) || !require __DIR__ . "/push.php";
use GatewayClient\Gateway as Client;

[, $address, $id] = $argv;
Push::$registerAddress = "127.0.0.1:1";
Client::$registerAddress = $address;
Client::bindUid($id, "u");
Push::joinGroup($id, Push::GROUP);
$failed = $online = 0;
for ($i = 0; $i < 2000; $i++) {
    Push::number($i);
    Push::number($number = "$i again");
    Client::sendToUid(message: [1, 2.5, "three"][$i % 3], uid: ["nobody", "u"][$i % 2]);
    Push::sendToGroup($i % 2 ? [Push::GROUP] : Push::GROUP, "to the group", exclude_client_id: $i % 3 ? $id : null);
    [$class, $method] = ["Gateway", "sendToAll"];
    $class::$method("to all", $i % 5 ? [] : null);
    if ($i % 10 === 0) {
        $online += Client::isOnline($id) + count(Client::getClientIdByUid("u")) + Push::getAllClientIdCount();
        try {
            Client::isOnline("bad");
        } catch (GatewayException $e) {
            $failed++;
        }
        Gateway::$connectTimeout = $i % 20 ? 3 : 4.5;
    }
}
Client::ungroup(Push::GROUP);
echo json_encode([$online, $failed, Gateway::$connectTimeout, Gateway::$registerAddress === $address]);
$cached = ini_get("opcache.enable_cli") && opcache_is_script_cached(__FILE__);
$jit = ini_get("opcache.enable_cli") && (opcache_get_status()["jit"]["on"] ?? false);
echo $preloaded ? " preloaded" : "", $cached ? " cached" : "", $jit ? " compiled" : "", "\n";
');

$settings = [
    'without' => null,
    'opcache' => [],
    'the file cache, filled' => ['opcache.file_cache' => "$directory/cache", 'opcache.file_cache_only' => 1],
    'the file cache, used' => ['opcache.file_cache' => "$directory/cache", 'opcache.file_cache_only' => 1],
    'the file cache, as a second level' => ['opcache.file_cache' => "$directory/cache"],
    'preloading' => ['opcache.preload' => "$directory/push.php", 'opcache.preload_user' => get_current_user()],
    'JIT, tracing' => ['opcache.jit' => 'tracing', 'opcache.jit_buffer_size' => '32M'],
    'JIT, functions' => ['opcache.jit' => 'function', 'opcache.jit_buffer_size' => '32M'],
];
$first = null;
foreach ($settings as $what => $ini) {
    if ($ini !== null) {
        // PHP 8.5 has it without.
        $ini += extension_loaded('Zend OPcache') ? [] : ['zend_extension' => 'opcache'];
        $ini += ['opcache.enable_cli' => 1, 'opcache.jit_buffer_size' => 0,
            // Otherwise opcache would leave out scripts as new as these.
            'opcache.file_update_protection' => 0];
    }
    $php = new GatewayTest\Php('', $ini ?? [], ["$directory/main.php", $server->register, $client->id]);
    $output = trim(stream_get_contents($php->pipes[1]) . stream_get_contents($php->pipes[2]));
    $status = $php->wait();
    Gateway::sendToAll('end');
    for ($came = []; ($message = $client->receive()) !== 'end'; $came[] = $message);
    $first ??= $came;
    echo "$what: $output", $status === 0 ? '' : " status $status", ', ', count($came), ' messages',
        $came === $first ? '' : ', other ones', "\n";
}
exec('rm -r ' . escapeshellarg($directory));
?>
--EXPECT--
without: [600,200,3,true], 6067 messages
opcache: [600,200,3,true] cached, 6067 messages
the file cache, filled: [600,200,3,true], 6067 messages
the file cache, used: [600,200,3,true], 6067 messages
the file cache, as a second level: [600,200,3,true] cached, 6067 messages
preloading: [600,200,3,true] preloaded cached, 6067 messages
JIT, tracing: [600,200,3,true] cached compiled, 6067 messages
JIT, functions: [600,200,3,true] cached compiled, 6067 messages
