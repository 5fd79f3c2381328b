--TEST--
Sessions keep what PHP keeps, and are merged within the gateway
--EXTENSIONS--
gateway
--SKIPIF--
<?php
require "gateway.inc";
GatewayTest\skip_without_server();
?>
--INI--
gateway.session_classes=Cart, Suit, \DateTimeImmutable
--FILE--
<?php
require 'gateway.inc';
use function GatewayTest\thrown;

final class Cart
{
    public function __construct(private array $items = [], public ?Cart $self = null)
    {
        $this->self = $this;
    }
}
enum Suit: string
{
    case Hearts = 'h';
}

$server = new GatewayTest\Server;
Gateway::$registerAddress = $server->register;
$tabs = [$server->connect(), $server->connect()];
[$id, $other] = array_column($tabs, 'id');
$nobody = str_repeat('0', 20);

echo "-- unset, offline\n";
var_dump(Gateway::getSession($id), Gateway::getSession($nobody));

echo "-- every kind of value\n";
$cart = new Cart(['apple']);
$session = [
    'int' => PHP_INT_MIN, 'float' => 0.1 + 0.2, 'infinite' => -INF, 'null' => null, 'true' => true, 'empty' => [],
    'bytes' => "\0\xff\"};s:1:", 'list' => [1, [2, [3]]], 7 => 'int key', '8' => 'int key too', '' => 'empty key',
    'object' => $cart, 'again' => $cart, 'enum' => Suit::Hearts, 'date' => new DateTimeImmutable('2020-02-02 UTC'),
];
var_dump(Gateway::setSession($id, $session));
$got = Gateway::getSession($id);
var_dump(serialize($got) === serialize($session), $got['object'] === $got['again']);

echo "-- merging is array_replace_recursive\n";
mt_srand(7);
function anything(int $depth): mixed
{
    if ($depth > 0 && mt_rand(0, 2) > 0) {
        $array = [];
        for ($i = mt_rand(0, 5); $i > 0; $i--) {
            $key = ['a', 'b', 'c', '0', 1, 2, '03', -4][mt_rand(0, 7)];
            $array[$key] = anything($depth - 1);
        }
        return $array;
    }
    return [null, false, true, 0, -17, 2.5, 1e100, '', 'text', "\0\xfe", new Cart([1]), Suit::Hearts][mt_rand(0, 11)];
}
$differences = 0;
for ($i = 0; $i < 500; $i++) {
    $old = (array) anything(4);
    $changes = (array) anything(4);
    $shared = new Cart(['shared']);
    if ($i % 3 === 0) {
        $old['one'] = $shared;
        $old['b'] = ['other' => $shared];
        $changes['c'] = [$i];
    }
    Gateway::setSession($id, $old);
    Gateway::updateSession($id, $changes);
    $expected = serialize(array_replace_recursive($old, $changes));
    if (serialize(Gateway::getSession($id)) !== $expected) {
        $differences++;
        echo serialize($old), "\n with ", serialize($changes), "\n  php $expected\n ours ", serialize(Gateway::getSession($id)), "\n";
    }
}
var_dump($differences);

echo "-- of a client that has none, of one that is gone\n";
var_dump(Gateway::updateSession($other, ['fresh' => 1]), Gateway::getSession($other));
Gateway::setSession($other, []);
var_dump(Gateway::getSession($other));
Gateway::setSession($nobody, ['lost' => 1]);
Gateway::updateSession($nobody, ['lost' => 1]);
var_dump(Gateway::getSession($nobody));

echo "-- serialized by the program\n";
var_dump(Gateway::setSocketSession($other, serialize(['mine' => 1])), Gateway::getSession($other));
var_dump(Gateway::setSocketSession($other, ''), Gateway::getSession($other));

echo "-- what cannot be one\n";
echo thrown(fn () => Gateway::setSession($id, 'text')), "\n";
echo thrown(fn () => Gateway::setSession($id, ['closure' => fn () => 1])), "\n";
Gateway::setSocketSession($other, 'i:1;');
Gateway::getAllClientIdCount();
Gateway::setSession($other, ['big' => str_repeat('x', 1100000)]);
Gateway::getAllClientIdCount();
var_dump(Gateway::getSession($other));
?>
--EXPECTF--
-- unset, offline
array(0) {
}
NULL
-- every kind of value
NULL
bool(true)
bool(true)
-- merging is array_replace_recursive
int(0)
-- of a client that has none, of one that is gone
NULL
array(1) {
  ["fresh"]=>
  int(1)
}
array(0) {
}
NULL
-- serialized by the program
bool(true)
array(1) {
  ["mine"]=>
  int(1)
}
bool(true)
array(0) {
}
-- what cannot be one
TypeError: PushGateway\Gateway::setSession(): Argument #2 ($session) must be of type array, string given
Exception: Serialization of 'Closure' is not allowed

Warning: PushGateway\Gateway::%s(): the gateway at %s refused 1 earlier call: the session is no serialized PHP array: it is not an array in %s on line %d

Warning: PushGateway\Gateway::%s(): the gateway at %s refused 1 earlier call: the session would be too long: its bytes are more than the 1048576 allowed (max_session_bytes); it is left as it was in %s on line %d
array(0) {
}
