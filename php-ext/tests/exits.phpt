--TEST--
exit wherever PHP code runs late or within a call: the rest of the request goes on, and what was sent arrives
--EXTENSIONS--
gateway
pcntl
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
Gateway::$registerAddress = $server->register;
Gateway::bindUid($client->id, 'u');

/** PHP code that sends so many numbered messages. */
$send = fn (int $from, int $to) => "for (\$i = $from; \$i < $to; \$i++) { Gateway::sendToUid('u', \"message \$i\"); }";
$exits = 'class Exits { public function __construct(private Closure $before) {}
    public function __toString(): string { ($this->before)(); exit(7); }
    public function __serialize(): array { ($this->before)(); exit(7); }
}';
$ends = [
    'the last of several shutdown functions' => "
        for (\$s = 0; \$s < 3; \$s++) {
            register_shutdown_function(function () use (\$s) {
                for (\$i = \$s * 100; \$i < \$s * 100 + 100; \$i++) { Gateway::sendToUid('u', \"message \$i\"); }
                \$s < 2 || exit(7);
            });
        }
        exit(0);
    ",
    'a shutdown function, before the next one' => "
        register_shutdown_function(function () {
            {$send(0, 300)}
            register_shutdown_function(function () { {$send(1000, 1001)} });
            exit(7);
        });
        exit(1);
    ",
    'a shutdown function that asks, and exits' => "
        register_shutdown_function(function () {
            {$send(0, 300)}
            exit(Gateway::isUidOnline('u') ? 7 : 1);
        });
        throw new Exception;
    ",
    'an output callback' => "
        ob_start(function (\$output) { {$send(0, 300)} return \$output; });
        exit(7);
    ",
    'a generator' => "
        function numbers() { for (\$i = 0; \$i < 300; \$i++) { yield \$i; } exit(7); }
        foreach (numbers() as \$i) { Gateway::sendToUid('u', \"message \$i\"); }
    ",
    'a fiber' => "
        \$fiber = new Fiber(function () { {$send(0, 300)} exit(7); });
        \$fiber->start();
        {$send(1000, 1001)}
    ",
    'a signal handler' => "
        pcntl_async_signals(true);
        pcntl_signal(SIGALRM, function () { {$send(0, 300)} exit(7); });
        pcntl_alarm(1);
        while (true) { usleep(100000); }
    ",
    '__toString() of a message' => "
        $exits
        Gateway::sendToUid('u', new Exits(function () { {$send(0, 300)} }));
        {$send(1000, 1001)}
    ",
    '__toString() of a uid in a list' => "
        $exits
        Gateway::sendToUid(['u', new Exits(function () { {$send(0, 300)} }), 'u'], 'never sent');
        {$send(1000, 1001)}
    ",
    '__toString() of what is asked' => "
        $exits
        try {
            Gateway::isUidOnline(new Exits(function () { {$send(0, 300)} }));
        } finally {
            {$send(1000, 1001)}
        }
    ",
    '__serialize() of a session' => "
        $exits
        Gateway::setSession('$client->id', ['a' => new Exits(function () { {$send(0, 300)} })]);
        {$send(1000, 1001)}
    ",
    'an error handler within a call, in a shutdown function' => "
        set_error_handler(function () { exit(7); });
        register_shutdown_function(function () {
            {$send(0, 300)}
            Gateway::bindUid(str_repeat('0', 20), '');
            {$send(1000, 1001)}
        });
    ",
];
$expected = array_map(fn ($i) => "message $i", range(0, 299));
foreach ($ends as $end => $code) {
    $php = new Php($code, ['gateway.register_address' => $server->register, 'display_errors' => 0]);
    $arrived = $client->receiveMany(300) === $expected ? 'all arrived' : 'something is missing';
    $output = trim(stream_get_contents($php->pipes[1]) . stream_get_contents($php->pipes[2]));
    echo "$end: $arrived, status ", $php->wait(), $output === '' ? '' : " [$output]", "\n";
}
Gateway::sendToAll('nothing came twice, and nothing after an exit');
var_dump($client->receive(), Gateway::getSession($client->id));
?>
--EXPECT--
the last of several shutdown functions: all arrived, status 7
a shutdown function, before the next one: all arrived, status 7
a shutdown function that asks, and exits: all arrived, status 7
an output callback: all arrived, status 7
a generator: all arrived, status 7
a fiber: all arrived, status 7
a signal handler: all arrived, status 7
__toString() of a message: all arrived, status 7
__toString() of a uid in a list: all arrived, status 7
__toString() of what is asked: all arrived, status 7
__serialize() of a session: all arrived, status 7
an error handler within a call, in a shutdown function: all arrived, status 7
string(45) "nothing came twice, and nothing after an exit"
array(0) {
}
