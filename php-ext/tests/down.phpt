--TEST--
A gateway that is down costs one wait, then nothing
--EXTENSIONS--
gateway
--FILE--
<?php
require 'gateway.inc';
use function GatewayTest\{nobody, thrown};

/** Whether `$body` took between so many milliseconds. */
function within(int $least, int $most, callable $body): void
{
    $begun = hrtime(true);
    $body();
    $taken = (hrtime(true) - $begun) / 1e6;
    echo $taken >= $least && $taken <= $most ? "in time\n" : "took $taken ms\n";
}

echo "-- nobody listens\n";
Gateway::$registerAddress = $address = nobody();
$say = function () use (&$address) {
    echo str_replace($address, 'ADDRESS', thrown(fn () => Gateway::sendToAll('x'))), "\n";
};
within(0, 2500, $say);
within(0, 2500, function () {
    for ($i = 0; $i < 1000; $i++) {
        try {
            Gateway::sendToAll('x');
            echo "sent\n";
        } catch (GatewayException) {
        }
    }
});
echo str_replace($address, 'ADDRESS', thrown(fn () => Gateway::getAllClientIdCount())), "\n";

echo "-- somebody listens and never answers\n";
$blackHole = stream_socket_server('tcp://127.0.0.1:0');
Gateway::$registerAddress = $address = stream_socket_get_name($blackHole, false);
Gateway::$connectTimeout = 1;
within(800, 2900, fn () => print(str_replace($address, 'ADDRESS', thrown(fn () => Gateway::isUidOnline(1))) . "\n"));
within(0, 2500, fn () => print(substr(thrown(fn () => Gateway::sendToAll('x')), 0, 56) . "\n"));

echo "-- several, all within the bound\n";
Gateway::$connectTimeout = 2;
$second = stream_socket_server('tcp://127.0.0.1:0');
Gateway::$registerAddress = [nobody(), stream_socket_get_name($second, false), $address, nobody()];
within(1000, 4900, fn () => print(preg_replace('/:\d+ /', ':PORT ', thrown(fn () => Gateway::sendToAll('x'))) . "\n"));

echo "-- somebody else listens\n";
$web = new GatewayTest\Process(
    [PHP_BINARY, '-n', '-r', '
        $s = stream_socket_server("tcp://127.0.0.1:0"); echo stream_socket_get_name($s, false), "\n";
        while ($c = stream_socket_accept($s, 60)) { fwrite($c, "HTTP/1.1 400 Bad Request\r\n\r\n"); fread($c, 9); fclose($c); }
    '],
    [['file', '/dev/null', 'r'], ['pipe', 'w'], ['file', '/dev/null', 'w']]
);
Gateway::$registerAddress = $address = trim(fgets($web->pipes[1]));
$say();

echo "-- nothing was accepted, so there is nothing to complain of at the end\n";
?>
--EXPECTF--
-- nobody listens
PushGateway\UnreachableException: Can not connect to tcp://ADDRESS Connection refused. Check that gateway-server runs and that Gateway::$registerAddress (gateway.register_address) is its register address
in time
in time
PushGateway\UnreachableException: Can not connect to tcp://ADDRESS Connection refused. Check that %s
-- somebody listens and never answers
PushGateway\UnreachableException: Can not connect to tcp://ADDRESS no gateway answered within %f s. Check that %s
in time
PushGateway\UnreachableException: Can not connect to tcp
in time
-- several, all within the bound
PushGateway\UnreachableException: Can not connect to tcp://127.0.0.1:PORT Connection refused; tcp://127.0.0.1:PORT no gateway answered within %f s; tcp://127.0.0.1:PORT no gateway answered within %f s; tcp://127.0.0.1:PORT Connection refused. Check that %s
in time
-- somebody else listens
PushGateway\ProtocolException: Can not connect to tcp://ADDRESS an HTTP server answers there, such as gateway-server's port for browsers. Check that %s
-- nothing was accepted, so there is nothing to complain of at the end
