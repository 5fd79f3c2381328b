--TEST--
PHP-FPM: whatever ends its children, what a finished request sent arrives once
--EXTENSIONS--
gateway
pcntl
--SKIPIF--
<?php
require 'gateway.inc';
require 'fpm.inc';
GatewayTest\skip_without_server();
if (!GatewayTest\fpm_binary()) die('skip there is no php-fpm of this PHP; PHP_FPM may name one');
?>
--FILE--
<?php
require 'gateway.inc';
require 'fpm.inc';

// The client reads only now and then.
$server = new GatewayTest\Server('', '127.0.0.1:0', '--outbox-bytes', '100000000');
$client = $server->connect();
Gateway::$registerAddress = $server->register;
const MESSAGES = 2000;

$request = 0;
/** How many messages of each request have come. */
$came = [];
$finished = [];

/** Takes what has come, until `$enough` says so; a request's messages come in turn. */
function take(callable $enough): void
{
    global $client, $came;
    do {
        [$of, $number] = explode(' ', $message = $client->receive());
        $came[$of] ??= 0;
        if ($came[$of]++ !== (int) $number) {
            echo "out of turn: $message\n";
        }
    } while (!$enough($of));
}

/** Signals FPM while two requests send and four wait. Gives how many of the six finished. */
function signal(GatewayTest\Fpm $fpm, int $signal): int
{
    global $request, $finished;
    $connections = [];
    for ($i = 0; $i < 6; $i++) {
        $connections["request" . $request] = $fpm->start('send.php', 'request' . $request++);
    }
    // Both children are serving requests now.
    $busy = [];
    take(function ($of) use (&$busy, $connections) {
        if (isset($connections[$of])) {
            $busy[$of] = true;
        }
        return count($busy) === 2;
    });
    $fpm->signal($signal);
    $done = 0;
    foreach ($connections as $of => $connection) {
        if ($fpm->finish($connection) !== null) {
            $finished[] = $of;
            $done++;
        }
    }
    return $done;
}

/** At least so many of six. */
function finished(int $count, int $least): string
{
    return $count >= $least ? "as it should be\n" : "only $count\n";
}

foreach ([0, 5] as $timeout) {
    $start = function () use ($timeout, $server) {
        $fpm = new GatewayTest\Fpm([
            'php_admin_value[gateway.register_address]' => $server->register,
            'php_admin_value[gateway.flush_timeout]' => 10,
        ], ['process_control_timeout' => $timeout]);
        file_put_contents("$fpm->root/send.php", '<?php
            for ($i = 0; $i < ' . MESSAGES . '; $i++) {
                Gateway::sendToAll("$_SERVER[QUERY_STRING] $i");
                if ($i % 50 === 0) {
                    Gateway::getAllClientIdCount();
                }
            }
        ');
        return $fpm;
    };

    echo "-- reload (SIGUSR2), process_control_timeout = $timeout\n";
    $fpm = $start();
    for ($i = 0; $i < 5; $i++) {
        // Without patience the two requests that are being served are cut off. Waiting requests go to the next children.
        echo finished(signal($fpm, SIGUSR2), $timeout === 0 ? 4 : 6);
        $fpm->untilReady();
    }
    echo "-- stop when idle (SIGQUIT), process_control_timeout = $timeout\n";
    echo finished(signal($fpm, SIGQUIT), $timeout === 0 ? 0 : 2);
    var_dump($fpm->wait());
    echo "-- stop (SIGTERM), process_control_timeout = $timeout\n";
    $fpm = $start();
    signal($fpm, SIGTERM);
    var_dump($fpm->wait());
}

Gateway::sendToAll('end 0');
take(fn ($of) => $of === 'end');
foreach ($finished as $of) {
    if ($came[$of] !== MESSAGES) {
        echo "of $of came $came[$of]\n";
    }
}
echo min($came) < MESSAGES ? "some were cut off while they sent\n" : "nothing was cut off\n";
?>
--EXPECT--
-- reload (SIGUSR2), process_control_timeout = 0
as it should be
as it should be
as it should be
as it should be
as it should be
-- stop when idle (SIGQUIT), process_control_timeout = 0
as it should be
int(0)
-- stop (SIGTERM), process_control_timeout = 0
int(0)
-- reload (SIGUSR2), process_control_timeout = 5
as it should be
as it should be
as it should be
as it should be
as it should be
-- stop when idle (SIGQUIT), process_control_timeout = 5
as it should be
int(0)
-- stop (SIGTERM), process_control_timeout = 5
int(0)
some were cut off while they sent
