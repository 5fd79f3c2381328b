<?php

use Illuminate\Support\Facades\Auth;
use Illuminate\Support\Facades\Route;

Route::get('/login', fn () => response('log in first', 403))->name('login');
Route::get('/login/{id}', fn (int $id) => (string) Auth::loginUsingId($id)->getKey());
Route::get('/write', fn () => '<form method="post" action="/comments">' . csrf_field()
    . '<input id="to" name="to"><input id="text" name="text"><button></button></form>');
// The page of the recipe, in a layout of Laravel.
Route::get('/page', fn () => '<!DOCTYPE html><meta name="csrf-token" content="' . csrf_token() . '">'
    . file_get_contents(public_path('page.html')));
