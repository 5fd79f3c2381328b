<?php

declare(strict_types=1);

namespace PushGateway\Symfony\DependencyInjection;

use Symfony\Component\Config\Definition\Builder\TreeBuilder;
use Symfony\Component\Config\Definition\ConfigurationInterface;

/** The settings below `push_gateway`: the options of GatewayFactory, in the spelling of Symfony. */
final class Configuration implements ConfigurationInterface
{
    public function getConfigTreeBuilder(): TreeBuilder
    {
        $tree = new TreeBuilder('push_gateway');
        $root = $tree->getRootNode();
        assert($root instanceof \Symfony\Component\Config\Definition\Builder\ArrayNodeDefinition);
        $settings = $root->children();
        $dsn = $settings->scalarNode('dsn')->cannotBeEmpty()->defaultValue('%env(GATEWAY_DSN)%');
        $dsn->info('such as gateway://127.0.0.1:1238');
        $settings->scalarNode('operations_token')->defaultNull()->info('the operations_token of gateway-server, for http:');
        $settings->scalarNode('operations_token_file')->defaultNull()->info('a file whose first line that is');
        $settings->scalarNode('secret_key')->defaultNull()->info('the secret_key of gateway-server');
        $settings->scalarNode('secret_key_file')->defaultNull()->info('a file whose first line that is');
        $settings->scalarNode('token_key')->defaultNull()->info('the key of connect tokens');
        $settings->scalarNode('token_key_file')->defaultNull()->info('a file whose first line that is');
        $settings->scalarNode('connect_timeout')->defaultNull()->info('for how many seconds a call waits at most');
        $settings->scalarNode('on_error')->defaultValue('throw')->info('throw, or log for sends that give no answer');

        return $tree;
    }
}
