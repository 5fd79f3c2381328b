--TEST--
A client_id counts for the page alone that was told its proof
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
$server = new GatewayTest\Server;
Gateway::$registerAddress = $server->register;
$ann = $server->connect();
$bob = $server->connect();
var_dump(Gateway::isClientProof($ann->id, $ann->proof), Gateway::isClientProof(strtoupper($bob->id), $bob->proof));
var_dump(Gateway::getClientProof($ann->id) === $ann->proof, $ann->proof !== $bob->proof);

echo "-- anything else that a page may post\n";
foreach ([$bob->proof, '', substr($ann->proof, 1), $ann->proof . 'x', null, [], [$ann->proof], 0, true] as $proof) {
    echo json_encode(Gateway::isClientProof($ann->id, $proof)), ' ';
}
foreach ([$bob->id, '', 'x', null, [$ann->id], substr($ann->id, 2), str_repeat('0', 20)] as $id) {
    echo json_encode(Gateway::isClientProof($id, $ann->proof)), ' ';
}
echo "\n-- once it has gone\n";
Gateway::closeClient($ann->id);
var_dump($ann->receive(), Gateway::isClientProof($ann->id, $ann->proof), Gateway::getClientProof($ann->id));
?>
--EXPECT--
bool(true)
bool(true)
bool(true)
bool(true)
-- anything else that a page may post
false false false false false false false false false false false false false false false false 
-- once it has gone
NULL
bool(false)
NULL
