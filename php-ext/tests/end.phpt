--TEST--
However a request ends, what it sent arrives
--EXTENSIONS--
gateway
--SKIPIF--
<?php
require "gateway.inc";
GatewayTest\skip_without_server();
?>
--FILE--
<?php
require 'gateway.inc';
use GatewayTest\Php;

$server = new GatewayTest\Server;
$client = $server->connect();
$many = 'for ($i = 0; $i < 2000; $i++) { Gateway::sendToAll("message $i"); }';
$expected = array_map(fn ($i) => "message $i", range(0, 1999));
$ends = [
    'the end' => $many,
    'exit' => "$many exit(0);",
    'exit in a function' => "(function () { $many exit(0); })();",
    'an exception that nobody catches' => "$many throw new Exception('thrown');",
    'a fatal error' => "$many no_such_function();",
    'a destructor that exits' => "\$o = new class { function __destruct() { $many exit(0); } }; exit(0);",
    'a shutdown function' => "register_shutdown_function(function () { $many }); exit(0);",
    'a destructor at the end' => "class D { public \$self; function __destruct() { $many } } \$d = new D; \$d->self = \$d;",
    'an exit inside an error handler' => "set_error_handler(function () { exit(0); }); $many Gateway::bindUid(str_repeat('0', 20), ''); echo 'not reached';",
    'an exception of our own' => "$many Gateway::isOnline('bad');",
    'a session handler' => '
        session_set_save_handler(new class implements SessionHandlerInterface {
            function open(string $p, string $n): bool { return true; }
            function close(): bool { return true; }
            function read(string $id): string { return ""; }
            function write(string $id, string $data): bool { ' . $many . ' return true; }
            function destroy(string $id): bool { return true; }
            function gc(int $l): int|false { return 0; }
        }, false);
        session_start(["use_cookies" => 0, "cache_limiter" => ""]); $_SESSION["x"] = 1;
    ',
];
foreach ($ends as $end => $code) {
    $output = Php::run($code, ['gateway.register_address' => $server->register, 'gateway.connect_timeout' => 20]);
    $arrived = $client->receiveMany(2000) === $expected ? 'all arrived' : 'something is missing';
    // Only the first line of a fatal error is shown, without files and lines.
    $output = preg_replace('/ in (Command line code|\S+:?).*/s', '', trim($output));
    echo "$end: $arrived", $output === '' ? '' : " [$output]", "\n";
}
Gateway::$registerAddress = $server->register;
Gateway::$connectTimeout = 20;
Gateway::sendToAll('nothing came twice');
var_dump($client->receive());
?>
--EXPECT--
the end: all arrived
exit: all arrived
exit in a function: all arrived
an exception that nobody catches: all arrived [Fatal error: Uncaught Exception: thrown]
a fatal error: all arrived [Fatal error: Uncaught Error: Call to undefined function no_such_function()]
a destructor that exits: all arrived
a shutdown function: all arrived
a destructor at the end: all arrived
an exit inside an error handler: all arrived
an exception of our own: all arrived [Fatal error: Uncaught PushGateway\ArgumentException: client_id "bad" is invalid: it must be 20 hexadecimal digits]
a session handler: all arrived
string(18) "nothing came twice"
